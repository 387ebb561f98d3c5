import type { Catalog } from "./catalog.js";
import type { Change, ChangeReason, Commit } from "./change.js";
import { DOWNLOAD_CLIENT_TYPE, type EntryRecord, factsDiffer } from "./entry.js";
import type { ServiceRecord } from "./service.js";

/** What a decision may know beside the catalog. */
export interface DecisionContext {
  readonly catalog: Catalog;
  /** The revision this decision gets if it commits something. */
  readonly revision: bigint;
  /** Wall-clock ms. */
  readonly at: number;
  /** Registry time in ms. */
  readonly registryNow: number;
  /** A new id for a record. */
  readonly newId: () => string;
  /** A new random secret, as URL-safe text. */
  readonly newSecret: () => string;
}

/** What a decision changes, or undefined if nothing, and what its caller is told. */
export interface Decision<Outcome> {
  readonly commit: Omit<Commit, "stamp"> | undefined;
  readonly outcome: Outcome;
}

/** A command: decides on the newest state, and throws DomainError to refuse. It must be pure. */
export type Command<Outcome> = (context: DecisionContext) => Decision<Outcome>;

/**
 * The commit that replaces a service's record. Its entry comes along with the
 * same revision if managers would see a difference.
 */
export function commitService(
  context: DecisionContext,
  before: ServiceRecord | undefined,
  after: ServiceRecord,
  reason: ChangeReason,
  newEntry?: EntryRecord,
): Omit<Commit, "stamp"> {
  const entry = newEntry ?? nextEntry(context, before, after);
  const changes: Change[] = [
    { subject: "service", subjectId: after.id, type: after.removed ? "delete" : "put" },
  ];
  if (entry)
    changes.push({
      subject: "download-client",
      subjectId: entry.id,
      type: entry.removed ? "delete" : "put",
    });
  return {
    revision: context.revision,
    at: context.at,
    reason,
    changes,
    services: [after],
    entries: entry ? [entry] : [],
    tokens: [],
  };
}

/** The service's entry as it is after the change, or undefined if managers would see no difference. */
function nextEntry(
  context: DecisionContext,
  before: ServiceRecord | undefined,
  after: ServiceRecord,
): EntryRecord | undefined {
  const entry = context.catalog.entryOf(after.id);
  if (!entry) return undefined;
  const removed = after.removed || after.spec.type !== DOWNLOAD_CLIENT_TYPE;
  const seenBefore = before !== undefined && !entry.removed;
  if (removed ? entry.removed : seenBefore && !factsDiffer(before, after)) return undefined;
  return { ...entry, removed, updatedAt: context.at, revision: context.revision };
}
