import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type {
  CreateDownloadClientRequest,
  UpdateDownloadClientRequest,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { type Access, newOperatorFields, type OperatorFields } from "../core/entry.js";
import type { EntryUpdate, NewEntry } from "../core/entry-command.js";
import { checkAccess, checkOperatorFields, checkTarget } from "../core/entry-fields.js";
import type { EntryPatch } from "../core/entry-patch.js";
import { collect, type FieldViolation, invalid, invalidField } from "../core/errors.js";
import type { FilePlaces } from "../core/file-places.js";
import { pathMappingOf, readProtocol } from "./convert.js";

// What operators send, checked in its form and brought into the registry's terms.

const PATH = "download_client";
const DEFAULT_PRIORITY = newOperatorFields("").priority;

/** @throws DomainError of kind `invalid` that names every bad field. */
export function readNewEntry({ downloadClient, disabled }: CreateDownloadClientRequest): NewEntry {
  if (!downloadClient) throw invalidField(PATH, "is required");
  const violations: FieldViolation[] = [];
  refuseForeignFields(violations, downloadClient);
  const fields: OperatorFields = {
    ...operatorFieldsOf(downloadClient),
    enabled: !disabled,
    priority: downloadClient.priority || DEFAULT_PRIORITY,
  };
  checkOperatorFields(violations, PATH, fields);
  const { kind } = downloadClient;
  const access = checkTarget(violations, PATH, {
    kind,
    ...accessOf(downloadClient),
    ...filePlacesOf(downloadClient),
  });
  const protocol = collect(violations, () =>
    readProtocol(downloadClient.protocol, `${PATH}.protocol`),
  );
  if (violations.length > 0) throw invalid(violations);
  return { fields, target: { ...access, protocol } };
}

/** What only Pulse or a service says must not look as if it were taken over. */
function refuseForeignFields(violations: FieldViolation[], message: DownloadClient): void {
  const foreign = {
    id: message.id,
    auth_scheme: message.authScheme,
    source: message.source,
    availability: message.availability,
    availability_reason: message.availabilityReason,
    credential_state: message.credentialState,
    service_id: message.serviceId,
    version: message.version,
    etag: message.etag,
    overrides: message.overrides,
    load: message.load,
    create_time: message.createTime,
    update_time: message.updateTime,
    delete_time: message.deleteTime,
    hidden: message.hidden,
    last_verified_time: message.lastVerifiedTime,
  };
  for (const [field, value] of Object.entries(foreign))
    if (value) violations.push({ field: `${PATH}.${field}`, description: "must be left out" });
}

/** Reads the part of an entry that one path of a mask names. */
type PathReader = (message: DownloadClient, violations: FieldViolation[]) => Partial<EntryPatch>;

const field =
  (name: keyof OperatorFields): PathReader =>
  (message) => ({ fields: { [name]: operatorFieldsOf(message)[name] } });
const target =
  (name: keyof Access): PathReader =>
  (message) => ({ target: { [name]: accessOf(message)[name] } });
const override =
  (name: keyof Access): PathReader =>
  (message) => ({ overrides: { [name]: message.overrides?.[name] } });

/** Every path that a mask may name. */
const PATHS: ReadonlyMap<string, PathReader> = new Map<string, PathReader>([
  ["name", field("name")],
  ["enabled", field("enabled")],
  ["priority", field("priority")],
  ["category", field("category")],
  ["directory", field("directory")],
  ["tags", field("tags")],
  ["settings", field("settings")],
  ["kind", ({ kind }) => ({ target: { kind } })],
  ["protocol", readProtocolPatch],
  ["host", target("host")],
  ["port", target("port")],
  ["use_ssl", target("useSsl")],
  ["url_base", target("urlBase")],
  ["username", target("username")],
  ["password", target("password")],
  ["download_directory", ({ downloadDirectory }) => ({ target: { downloadDirectory } })],
  [
    "path_mappings",
    (message) => ({ target: { pathMappings: filePlacesOf(message).pathMappings } }),
  ],
  ["overrides.host", override("host")],
  ["overrides.port", override("port")],
  ["overrides.use_ssl", override("useSsl")],
  ["overrides.url_base", override("urlBase")],
  ["overrides.username", override("username")],
  ["overrides.password", override("password")],
  ["overrides", readAllOverrides],
]);

/** Fields of an entry that nobody edits. */
const READ_ONLY_PATHS: ReadonlySet<string> = new Set([
  "id",
  "auth_scheme",
  "source",
  "availability",
  "availability_reason",
  "credential_state",
  "service_id",
  "load",
  "last_verified_time",
  "version",
  "create_time",
  "update_time",
  "delete_time",
  "hidden",
  "last_verified_time",
  "etag",
]);

/**
 * @param by name of the operator's token
 * @throws DomainError of kind `invalid` that names every bad field.
 */
export function readEntryUpdate(request: UpdateDownloadClientRequest, by: string): EntryUpdate {
  const { downloadClient: message, updateMask } = request;
  const paths = [...new Set(updateMask?.paths)];
  const violations: FieldViolation[] = [];
  if (!message?.id) violations.push({ field: `${PATH}.id`, description: "is required" });
  if (paths.length === 0)
    violations.push({
      field: "update_mask",
      description: "is required: name the fields to change, such as priority",
    });
  checkPaths(violations, paths);
  const readers = paths.flatMap((path) => PATHS.get(path) ?? []);
  const parts = message ? readers.map((read) => read(message, violations)) : [];
  const patch = checkPatch(violations, merge(parts));
  if (!message || violations.length > 0) throw invalid(violations);
  return { id: message.id, etag: message.etag, patch, paths, by };
}

function checkPaths(violations: FieldViolation[], paths: readonly string[]): void {
  const refuse = (description: string) => violations.push({ field: "update_mask", description });
  if (paths.length > PATHS.size) {
    refuse(`must not name more than the ${PATHS.size} fields that can be changed`);
    return;
  }
  let choice = `: name some of ${[...PATHS.keys()].join(", ")}`; // told once
  for (const path of paths) {
    const name = JSON.stringify(path.slice(0, 100));
    if (READ_ONLY_PATHS.has(path)) refuse(`${name} cannot be changed by hand`);
    else if (!PATHS.has(path)) {
      refuse(`${name} is no field that can be changed${choice}`);
      choice = "";
    }
  }
}

function merge(parts: readonly Partial<EntryPatch>[]): EntryPatch {
  const [protocol] = parts.flatMap((part) => part.protocol ?? []);
  return {
    fields: Object.assign({}, ...parts.map(({ fields }) => fields)),
    target: Object.assign({}, ...parts.map(({ target }) => target)),
    overrides: Object.assign({}, ...parts.map(({ overrides }) => overrides)),
    ...(protocol === undefined ? {} : { protocol }),
  };
}

/** The patch in the form in which it is kept. */
function checkPatch(violations: FieldViolation[], patch: EntryPatch): EntryPatch {
  checkOperatorFields(violations, PATH, patch.fields);
  const set = Object.entries(patch.overrides).filter(([, value]) => value !== undefined);
  const overrides: Partial<Access> = Object.fromEntries(set);
  return {
    ...patch,
    target: checkTarget(violations, PATH, patch.target),
    overrides: {
      ...patch.overrides,
      ...checkAccess(violations, `${PATH}.overrides`, overrides),
    },
  };
}

function readProtocolPatch(
  { protocol }: DownloadClient,
  violations: FieldViolation[],
): Partial<EntryPatch> {
  const read = collect(violations, () => readProtocol(protocol, `${PATH}.protocol`));
  return { protocol: read ?? "known" };
}

function readAllOverrides({ overrides }: DownloadClient): Partial<EntryPatch> {
  const { host, port, useSsl, urlBase, username, password } = overrides ?? {};
  return { overrides: { host, port, useSsl, urlBase, username, password } };
}

function operatorFieldsOf(message: DownloadClient): OperatorFields {
  const { name, enabled, priority, category, directory, tags, settings } = message;
  return { name, enabled, priority, category, directory, tags, settings: settings ?? {} };
}

function accessOf(message: DownloadClient): Access {
  const { host, port, useSsl, urlBase, username, password } = message;
  return { host, port, useSsl, urlBase, username, password };
}

function filePlacesOf({ downloadDirectory, pathMappings }: DownloadClient): FilePlaces {
  return { downloadDirectory, pathMappings: pathMappings.map(pathMappingOf) };
}
