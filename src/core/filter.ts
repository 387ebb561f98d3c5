import type { ResolvedEntry } from "./entry.js";
import { type FieldViolation, invalid } from "./errors.js";
import { type DownloadProtocol, KIND_RULE, knownKind } from "./kinds.js";
import type { CredentialState, ServiceRecord, ServiceStatus } from "./service.js";
import { CAPABILITY_RULE, TYPE_RULE } from "./service-spec.js";
import { type ShownStatus, shownStatus } from "./shown-status.js";
import { checkText, type TextRule } from "./text.js";

// Lists and watches filter by the same rules. What filters look at is taken out of
// a record, so that the history can keep it without keeping the record.

/** A watch keeps its filter, and looks at all of it with each change. */
const MAX_FILTER_VALUES = 64;

/**
 * A filter that can never match is a mistake, and is better told than answered with nothing.
 * @throws DomainError of kind `invalid` that names each field of it
 */
export function checkServiceFilter({ type, capabilities, statuses }: ServiceFilter): void {
  const violations: FieldViolation[] = [];
  checkText(violations, "type", type, { ...TYPE_RULE, min: 0 });
  checkList(violations, "capabilities", capabilities, CAPABILITY_RULE);
  checkList(violations, "statuses", statuses);
  if (violations.length > 0) throw invalid(violations);
}

/** As `checkServiceFilter`. */
export function checkEntryFilter(filter: EntryFilter): void {
  const { protocol, kinds, availabilities, credentialStates } = filter;
  const violations: FieldViolation[] = [];
  checkList(violations, "kinds", kinds, { ...KIND_RULE, min: 1 });
  checkList(violations, "availabilities", availabilities);
  checkList(violations, "credential_states", credentialStates);
  const isNever = (kind: string) => {
    const known = knownKind(kind)?.protocol;
    return known !== undefined && protocol !== undefined && known !== protocol;
  };
  if (kinds.length > 0 && kinds.every(isNever))
    violations.push({ field: "kinds", description: `has no kind whose protocol is ${protocol}` });
  if (violations.length > 0) throw invalid(violations);
}

function checkList(
  violations: FieldViolation[],
  field: string,
  list: readonly string[],
  rule?: TextRule,
): void {
  if (list.length > MAX_FILTER_VALUES)
    violations.push({ field, description: `must have at most ${MAX_FILTER_VALUES} items` });
  else if (rule)
    for (const [i, text] of list.entries()) checkText(violations, `${field}[${i}]`, text, rule);
}

/** Which services are wanted; an empty list or text: any. */
export interface ServiceFilter {
  readonly type: string;
  /** All of them. */
  readonly capabilities: readonly string[];
  readonly statuses: readonly ShownStatus[];
}

/** What a ServiceFilter looks at. */
export interface ServiceTraits {
  readonly type: string;
  readonly capabilities: readonly string[];
  readonly status: ShownStatus;
}

export function traitsOfService(service: ServiceRecord): ServiceTraits {
  const { type, capabilities } = service.spec;
  return { type, capabilities, status: shownStatus(service) };
}

export function matchesService(filter: ServiceFilter, traits: ServiceTraits): boolean {
  return (
    (filter.type === "" || filter.type === traits.type) &&
    filter.capabilities.every((wanted) => traits.capabilities.includes(wanted)) &&
    (filter.statuses.length === 0 || filter.statuses.includes(traits.status))
  );
}

/** Which entries are wanted; an empty list, or undefined: any. */
export interface EntryFilter {
  readonly protocol: DownloadProtocol | undefined;
  readonly kinds: readonly string[];
  readonly availabilities: readonly ServiceStatus[];
  readonly credentialStates: readonly CredentialState[];
  readonly enabled: boolean | undefined;
}

/** What an EntryFilter looks at. */
export interface EntryTraits {
  readonly protocol: DownloadProtocol | undefined;
  readonly kind: string;
  readonly availability: ServiceStatus;
  readonly credentialState: CredentialState;
  readonly enabled: boolean;
}

export function traitsOfEntry({ entry, facts }: ResolvedEntry): EntryTraits {
  const { protocol, kind, availability, credentialState } = facts;
  return { protocol, kind, availability, credentialState, enabled: entry.enabled };
}

export function matchesEntry(filter: EntryFilter, traits: EntryTraits): boolean {
  return (
    (filter.protocol === undefined || filter.protocol === traits.protocol) &&
    (filter.kinds.length === 0 || filter.kinds.includes(traits.kind)) &&
    (filter.availabilities.length === 0 || filter.availabilities.includes(traits.availability)) &&
    (filter.credentialStates.length === 0 ||
      filter.credentialStates.includes(traits.credentialState)) &&
    (filter.enabled === undefined || filter.enabled === traits.enabled)
  );
}
