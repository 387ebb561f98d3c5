import type { Access, EntryOrigin, EntryRecord, OperatorFields, Target } from "./entry.js";
import { invalidField } from "./errors.js";
import { knownKind, protocolProblem } from "./kinds.js";

const PROTOCOL_FIELD = "download_client.protocol";

/** A target whose protocol may be left out, if its kind is known. */
export type StatedTarget = Omit<Target, "protocol"> & {
  readonly protocol: Target["protocol"] | undefined;
};

/** What to change; what is absent stays. */
export interface EntryPatch {
  readonly fields: Partial<OperatorFields>;
  readonly target: Partial<Omit<Target, "protocol">>;
  /** `known`: that of the kind. */
  readonly protocol?: Target["protocol"] | "known";
  /** A value overrides; undefined clears the override. */
  readonly overrides: { readonly [Field in keyof Access]?: Access[Field] | undefined };
}

/** @throws DomainError of kind `invalid`: it is missing for an unknown kind, or not that of a known one. */
export function withProtocol(target: StatedTarget): Target {
  const problem = protocolProblem(target.kind, target.protocol);
  const protocol = target.protocol ?? knownKind(target.kind)?.protocol;
  if (problem !== undefined || protocol === undefined)
    throw invalidField(PROTOCOL_FIELD, problem ?? "is required");
  return { ...target, protocol };
}

/**
 * An origin after a patch.
 * @param paths all that the patch names
 * @throws DomainError of kind `invalid`: a path that is not the operator's, or a
 *   protocol that does not fit the kind
 */
export function patchedOrigin(
  origin: EntryOrigin,
  { target, protocol, overrides }: EntryPatch,
  paths: readonly string[],
): EntryOrigin {
  if (origin.source === "auto") {
    const foreign = paths.find((path) => TARGET_FIELDS.has(path));
    if (foreign !== undefined) throw invalidField("update_mask", serviceOwned(foreign));
    const merged = Object.entries({ ...origin.overrides, ...overrides });
    const kept = Object.fromEntries(merged.filter(([, value]) => value !== undefined));
    return { ...origin, overrides: kept };
  }
  const foreign = paths.find((path) => path.startsWith("overrides"));
  if (foreign !== undefined)
    throw invalidField(
      "update_mask",
      `${foreign}: a MANUAL entry has nothing to override; name the field itself`,
    );
  const kind = target.kind ?? origin.target.kind;
  // A known kind brings its own protocol; another one keeps what was stated.
  const stated =
    protocol === "known"
      ? undefined
      : (protocol ?? (knownKind(kind) ? undefined : origin.target.protocol));
  return {
    ...origin,
    target: withProtocol({ ...origin.target, ...target, kind, protocol: stated }),
  };
}

function serviceOwned(path: string): string {
  return ACCESS_FIELDS.has(path)
    ? `${path} of an AUTO entry belongs to its service: use overrides.${path}`
    : `${path} of an AUTO entry belongs to its service and cannot be changed here`;
}

/** Fields that the operator of an AUTO entry may override, by their path in the contract. */
const ACCESS_FIELDS: ReadonlyMap<string, keyof Access> = new Map([
  ["host", "host"],
  ["port", "port"],
  ["use_ssl", "useSsl"],
  ["url_base", "urlBase"],
  ["username", "username"],
  ["password", "password"],
]);

/** Fields that only a MANUAL entry's operator owns. */
const TARGET_FIELDS: ReadonlyMap<string, keyof Target> = new Map<string, keyof Target>([
  ...ACCESS_FIELDS,
  ["kind", "kind"],
  ["protocol", "protocol"],
  ["download_directory", "downloadDirectory"],
  ["path_mappings", "pathMappings"],
]);

/** What was tried with one of these is not proven with another. */
const PROVEN_PATHS: ReadonlySet<string> = new Set([
  ...["kind", "protocol", "overrides"],
  ...[...ACCESS_FIELDS.keys()].flatMap((path) => [path, `overrides.${path}`]),
]);

export function touchesAccess(path: string): boolean {
  return PROVEN_PATHS.has(path);
}

/** Whether two states of an entry differ in what a path names. */
export function differs(a: EntryRecord, b: EntryRecord, path: string): boolean {
  return JSON.stringify(valueAt(a, path)) !== JSON.stringify(valueAt(b, path));
}

function valueAt({ origin, ...fields }: EntryRecord, path: string): unknown {
  if (origin.source === "auto") {
    if (path === "overrides") return Object.entries(origin.overrides).sort();
    const field = ACCESS_FIELDS.get(path.replace(/^overrides\./, ""));
    if (field) return origin.overrides[field];
  } else {
    const field = TARGET_FIELDS.get(path);
    if (field) return origin.target[field];
  }
  return fields[path as keyof OperatorFields];
}
