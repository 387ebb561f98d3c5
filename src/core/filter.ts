import type { ResolvedEntry } from "./entry.js";
import { invalid } from "./errors.js";
import type { DownloadProtocol } from "./kinds.js";
import type { ServiceRecord, ServiceStatus } from "./service.js";

// Lists and watches filter by the same rules. What filters look at is taken out of
// a record, so that the history can keep it without keeping the record.

/** A watch keeps its filter, and looks at all of it with each change. */
const MAX_FILTER_VALUES = 64;

/** @throws DomainError of kind `invalid` that names each list of a filter that is too long. */
export function checkFilterLists(lists: Readonly<Record<string, readonly unknown[]>>): void {
  const violations = Object.entries(lists)
    .filter(([, list]) => list.length > MAX_FILTER_VALUES)
    .map(([field]) => ({ field, description: `must have at most ${MAX_FILTER_VALUES} items` }));
  if (violations.length > 0) throw invalid(violations);
}

/** Which services are wanted; an empty list or text: any. */
export interface ServiceFilter {
  readonly type: string;
  /** All of them. */
  readonly capabilities: readonly string[];
  readonly statuses: readonly ServiceStatus[];
}

/** What a ServiceFilter looks at. */
export interface ServiceTraits {
  readonly type: string;
  readonly capabilities: readonly string[];
  readonly status: ServiceStatus;
}

export function traitsOfService({ spec, status }: ServiceRecord): ServiceTraits {
  return { type: spec.type, capabilities: spec.capabilities, status };
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
  readonly enabled: boolean | undefined;
}

/** What an EntryFilter looks at. */
export interface EntryTraits {
  readonly protocol: DownloadProtocol | undefined;
  readonly kind: string;
  readonly availability: ServiceStatus;
  readonly enabled: boolean;
}

export function traitsOfEntry({ entry, facts }: ResolvedEntry): EntryTraits {
  const { protocol, kind, availability } = facts;
  return { protocol, kind, availability, enabled: entry.enabled };
}

export function matchesEntry(filter: EntryFilter, traits: EntryTraits): boolean {
  return (
    (filter.protocol === undefined || filter.protocol === traits.protocol) &&
    (filter.kinds.length === 0 || filter.kinds.includes(traits.kind)) &&
    (filter.availabilities.length === 0 || filter.availabilities.includes(traits.availability)) &&
    (filter.enabled === undefined || filter.enabled === traits.enabled)
  );
}
