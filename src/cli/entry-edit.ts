import { create } from "@bufbuild/protobuf";
import {
  type DownloadClient,
  type DownloadClientOverrides,
  DownloadClientOverridesSchema,
  DownloadClientSchema,
  Source,
} from "../../gen/pulse/v1/download_client_pb.js";
import type { EntryInput } from "./entry-options.js";
import { UsageError } from "./failure.js";
import { cell } from "./output.js";

/** What `pulse clients edit --clear` takes. */
export const CLEARABLE = [
  "url",
  "username",
  "password",
  "category",
  "directory",
  "tags",
  "settings",
  "download-directory",
  "path-mappings",
] as const;
export type Clearable = (typeof CLEARABLE)[number];

/** What an operator wants of an entry. */
export interface EditInput extends EntryInput {
  readonly name?: string;
  readonly enabled?: boolean;
  readonly clear: readonly Clearable[];
}

/** What to send to Pulse. */
export interface EntryEdit {
  readonly downloadClient: DownloadClient;
  readonly paths: readonly string[];
  /** What changes, in the words of the options. */
  readonly words: readonly string[];
}

type Access = Omit<DownloadClientOverrides, "$typeName" | "$unknown">;
type AccessField = keyof Access;

const ADDRESS_FIELDS = ["host", "port", "useSsl", "urlBase"] as const satisfies AccessField[];
/** Of an AUTO entry these have no overrides. */
const SERVICE_FIELDS = [
  "kind",
  "protocol",
  "downloadDirectory",
  "pathMappings",
] as const satisfies (keyof EditInput)[];
const OWN_FIELDS = [
  ...SERVICE_FIELDS,
  "name",
  "enabled",
  "priority",
  "category",
  "directory",
  "tags",
  "settings",
] as const satisfies (keyof DownloadClient & keyof EditInput)[];

/** @throws UsageError if what was asked for is nothing, or contradicts itself */
export function checkEdit(input: EditInput): void {
  const set = wordsOf(input);
  const both = input.clear.find((field) => set.includes(field));
  if (both) throw new UsageError(`give a new ${both} or clear it, not both`);
  if (set.length + input.clear.length === 0)
    throw new UsageError("nothing to change: say what, such as --priority 10");
}

/**
 * The change of `entry` that was asked for. Of an AUTO one, address and
 * credentials become overrides, and clearing them takes the overrides away.
 *
 * @throws UsageError if it does not fit the entry
 */
export function entryEdit(entry: DownloadClient, input: EditInput): EntryEdit {
  const { clear, address: _, ...fields } = input;
  const isAuto = entry.source === Source.AUTO;
  const foreign = isAuto && SERVICE_FIELDS.flatMap((field) => optionOf(field, input) ?? [])[0];
  if (foreign)
    throw new UsageError(
      `${cell(entry.name)} is registered, and ${foreign} is its service's own to say: change it there`,
    );
  if (!isAuto && clear.includes("url"))
    throw new UsageError("an entry made by hand needs an address: give another one with --url");
  const { id, etag } = entry;
  const set = OWN_FIELDS.filter((field) => fields[field] !== undefined);
  const own = Object.fromEntries(set.map((field) => [field, fields[field]]));
  const downloadClient = create(DownloadClientSchema, { ...own, id, etag });
  const paths: string[] = set.map(pathOf);
  // Absent is empty.
  for (const word of clear) if (!isAccess(word)) paths.push(word.replaceAll("-", "_"));

  const access = accessChanges(input);
  const values = Object.fromEntries(access.filter(([, value]) => value !== undefined));
  if (isAuto) {
    downloadClient.overrides = create(DownloadClientOverridesSchema, values);
    paths.push(...access.map(([field]) => `overrides.${pathOf(field)}`));
  } else {
    Object.assign(downloadClient, values);
    paths.push(...access.map(([field]) => pathOf(field)));
  }
  return { downloadClient, paths, words: [...wordsOf(input), ...new Set(clear)] };
}

function wordsOf({ clear: _, address, ...fields }: EditInput): string[] {
  return Object.keys({ ...(address && { url: address }), ...fields }).map(wordOf);
}

/** `path-mappings` for `pathMappings`. */
function wordOf(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The option by which a field was given, or cleared; undefined: it was not. */
function optionOf(field: (typeof SERVICE_FIELDS)[number], input: EditInput): string | undefined {
  const word = wordOf(field);
  if (input[field] !== undefined) return `--${word.replace(/s$/, "")}`; // one mapping at a time
  return input.clear.some((cleared) => cleared === word) ? `--clear ${word}` : undefined;
}

/** Undefined: to be cleared. */
function accessChanges(input: EditInput) {
  const { address, clear } = input;
  const changes: [AccessField, Access[AccessField] | undefined][] = [];
  if (address) for (const field of ADDRESS_FIELDS) changes.push([field, address[field]]);
  if (clear.includes("url")) for (const field of ADDRESS_FIELDS) changes.push([field, undefined]);
  for (const field of ["username", "password"] as const)
    if (input[field] !== undefined || input.clear.includes(field))
      changes.push([field, input[field]]);
  return changes;
}

function isAccess(field: Clearable): boolean {
  return field === "url" || field === "username" || field === "password";
}

/** The name of a field in a mask. */
function pathOf(field: (typeof OWN_FIELDS)[number] | AccessField): string {
  return DownloadClientSchema.field[field].name;
}
