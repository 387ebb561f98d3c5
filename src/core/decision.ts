import type { Catalog } from "./catalog.js";
import type { Change, ChangeReason, UnstampedCommit } from "./change.js";
import {
  type EntryRecord,
  factsDiffer,
  hasOwnLogin,
  isVisible,
  resolveEntry,
  UNTRIED,
} from "./entry.js";
import type { Holding, ServiceRecord } from "./service.js";

/** What a decision may know beside the catalog. */
export interface DecisionContext {
  readonly catalog: Catalog;
  /** The revision this decision gets if it commits something. */
  readonly revision: bigint;
  /** Wall-clock ms. */
  readonly at: number;
  /** Registry time in ms. */
  readonly registryNow: number;
  /**
   * Where a service's lease stands as this commits; undefined if nobody but this
   * Pulse holds leases, or it was not asked for.
   */
  readonly holdingOf: (serviceId: string) => Holding | undefined;
  /** A new id for a record. */
  readonly newId: () => string;
  /** The id for this text: the same in every registry, and in every run. */
  readonly stableId: (text: string) => string;
  /** A new random secret, as URL-safe text. */
  readonly newSecret: () => string;
}

/** What a decision changes, or undefined if nothing, and what its caller is told. */
export interface Decision<Outcome> {
  readonly commit: UnstampedCommit | undefined;
  readonly outcome: Outcome;
}

/** A command: decides on the newest state, and throws DomainError to refuse. It must be pure. */
export type Command<Outcome> = (context: DecisionContext) => Decision<Outcome>;

/** The commit of this decision, with the records that it writes. */
export function commitOf(
  { revision, at }: DecisionContext,
  reason: ChangeReason,
  changes: readonly Change[],
  records: Partial<Pick<UnstampedCommit, "services" | "entries" | "removedEntryIds" | "tokens">>,
): UnstampedCommit {
  return {
    revision,
    at,
    reason,
    changes,
    services: [],
    entries: [],
    removedEntryIds: [],
    tokens: [],
    ...records,
  };
}

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
): UnstampedCommit {
  const change: Change = {
    subject: "service",
    subjectId: after.id,
    type: after.removed ? "delete" : "put",
    detail: statusDetail(after, reason),
  };
  const known = context.catalog.entryOf(after.id);
  const entry = newEntry ?? (known && withTriedLogin(known, before, after));
  const seen = entry && entryChange(entry, newEntry ? undefined : before, after);
  if (!entry || !seen)
    return commitOf(context, reason, [change], {
      services: [after],
      entries: entry && entry !== known ? [entry] : [],
    });
  return commitOf(context, reason, [change, seen], {
    services: [after],
    entries: [{ ...entry, updatedAt: context.at, revision: context.revision }],
  });
}

/**
 * An entry as it is when its service changes: of credentials that are half the
 * operator's nothing is known any more if the service's half is another.
 */
function withTriedLogin(
  entry: EntryRecord,
  before: ServiceRecord | undefined,
  after: ServiceRecord,
): EntryRecord {
  if (entry.credentialState === "unverified" || !hasOwnLogin(entry.origin)) return entry;
  const was = resolveEntry(entry, before)?.facts;
  const is = resolveEntry(entry, after)?.facts;
  const isSame = was?.username === is?.username && was?.password === is?.password;
  return isSame ? entry : { ...entry, ...UNTRIED };
}

/** `degraded: disk full`; a reason that only repeats that of the commit is left out. */
function statusDetail(
  { status, statusReason, approved, removed }: ServiceRecord,
  reason: ChangeReason,
): string {
  const shown = approved || removed ? status : `pending, ${status}`;
  return statusReason === "" || statusReason === reason ? shown : `${shown}: ${statusReason}`;
}

/** What a change of its service is to an entry, or undefined if managers see no difference. */
function entryChange(
  entry: EntryRecord,
  before: ServiceRecord | undefined,
  after: ServiceRecord,
): Change | undefined {
  const was = resolveEntry(entry, before);
  const is = resolveEntry(entry, after);
  const wasVisible = was !== undefined && isVisible(was);
  const isNowVisible = is !== undefined && isVisible(is);
  if (!wasVisible && !isNowVisible) return undefined;
  if (wasVisible && isNowVisible && !factsDiffer(was.facts, is.facts)) return undefined;
  const type = isNowVisible ? "put" : "delete";
  return { subject: "download-client", subjectId: entry.id, type, detail: "" };
}
