import { type Access, type EntryRecord, resolveEntry } from "./entry.js";
import { DomainError } from "./errors.js";
import type { ServiceRecord, ServiceSpec } from "./service.js";

// An identity without a secret is anybody's who has the scope: whoever sends its type
// and name goes on with what is stored for it. So nothing is kept for him that he could
// not have had before: above all, no credentials for an address of his own choice.

/** What a Register says of who it is, and where. */
export interface Registrant {
  readonly spec: ServiceSpec;
  readonly instanceId: string;
}

/**
 * Whether what is stored may go on with this Register: its secret proves that it is the
 * same party; or none is pinned, neither before nor by this, and it stays at its address.
 */
export function isFromSameParty({ spec, instanceId }: Registrant, before: ServiceRecord): boolean {
  if (before.secretHash !== undefined) return true;
  return instanceId === "" && isSameOrigin(spec.endpoint, before.spec.endpoint);
}

/** Scheme, host and port, of an address or of none. */
function isSameOrigin(
  a: Pick<Access, "host" | "port" | "useSsl"> | undefined,
  b: Pick<Access, "host" | "port" | "useSsl"> | undefined,
): boolean {
  return a?.host === b?.host && a?.port === b?.port && a?.useSsl === b?.useSsl;
}

/**
 * What an operator has set is his: a Register can neither clear a password of his nor
 * have it sent elsewhere.
 * @param after the service as it would be
 * @throws DomainError of kind `denied`
 */
export function refuseOperatorsPassword(
  request: Registrant,
  before: ServiceRecord,
  after: ServiceRecord,
  entry: EntryRecord | undefined,
): void {
  if (entry?.origin.source !== "auto" || !entry.origin.overrides.password) return;
  if (before.secretHash !== undefined) return;
  const isPinnedNow = request.instanceId !== "";
  const was = resolveEntry(entry, before)?.facts;
  const is = resolveEntry(entry, after)?.facts;
  if (!isPinnedNow && isSameOrigin(was, is)) return;
  throw new DomainError(
    `an operator has set a password for this service, which has no instance_secret to prove that it is the same: ${
      isPinnedNow ? "it cannot be given one" : "it cannot move to another scheme, host or port"
    } until that is taken back with \`pulse clients edit ${entry.id} --clear password\``,
    { kind: "denied", reason: "PASSWORD_OF_OPERATOR" },
  );
}
