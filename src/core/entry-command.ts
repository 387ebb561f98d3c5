import type { Change, OperatorReason } from "./change.js";
import { type Command, commitOf, type Decision, type DecisionContext } from "./decision.js";
import {
  type EntryRecord,
  factsDiffer,
  hasOwnLogin,
  isVisible,
  type OperatorFields,
  type ResolvedEntry,
  resolveEntry,
  UNTRIED,
} from "./entry.js";
import {
  differs,
  type EntryPatch,
  patchedOrigin,
  type StatedTarget,
  touchesAccess,
  withProtocol,
} from "./entry-patch.js";
import { DomainError, notFound } from "./errors.js";
import type { CredentialState } from "./service.js";

// What operators do to entries by hand. The form of the fields was checked before
// (entry-fields.ts); here is what depends on the registry's state.

/** Its path in messages, for errors. */
const NAME_FIELD = "download_client.name";

/** An entry after a command, and the revision of its newest change. */
export interface EntryOutcome {
  readonly resolved: ResolvedEntry;
  readonly revision: bigint;
}

/** What a test of an entry came to. */
export interface TestNote extends EntryOutcome {
  /** Whether it has shown something new that was written down. */
  readonly isNews: boolean;
}

export interface NewEntry {
  readonly fields: OperatorFields;
  readonly target: StatedTarget;
}

/**
 * Makes a MANUAL entry.
 * @param by name of the operator's token
 * @throws DomainError: the name is taken, or the protocol does not fit the kind.
 */
export function createEntry({ fields, target }: NewEntry, by: string): Command<EntryOutcome> {
  return (context) => {
    refuseTakenName(context, fields.name, undefined);
    const entry: EntryRecord = {
      ...fields,
      id: context.newId(),
      origin: { source: "manual", target: withProtocol(target) },
      ...UNTRIED,
      createdAt: context.at,
      updatedAt: context.at,
      revision: context.revision,
      deletedAt: undefined,
    };
    return put(context, entry, `created by ${by}`, "");
  };
}

export interface EntryUpdate {
  readonly id: string;
  /** Empty: whatever the entry is now. */
  readonly etag: string;
  readonly patch: EntryPatch;
  /** As in the contract, such as `overrides.host`. */
  readonly paths: readonly string[];
  readonly by: string;
}

/**
 * Changes the fields of a patch, and nothing if they are so already.
 * @throws DomainError: no such entry, a stale etag, a field that is not the
 *   operator's, a name that is taken, or a protocol that does not fit the kind.
 */
export function updateEntry(update: EntryUpdate): Command<EntryOutcome> {
  const { id, etag, patch, by } = update;
  return (context) => {
    const before = find(context, id);
    refuseDeleted(before.entry);
    refuseStaleEtag(before.entry, etag);
    const origin = patchedOrigin(before.entry.origin, patch, update.paths);
    refuseTakenName(context, patch.fields.name, id);
    const patched = { ...before.entry, ...patch.fields, origin };
    const changed = update.paths.filter((path) => differs(before.entry, patched, path));
    if (changed.length === 0) return unchanged(before);
    const entry: EntryRecord = {
      ...patched,
      ...(changed.some(touchesAccess) && UNTRIED),
      updatedAt: context.at,
      revision: context.revision,
    };
    return put(context, entry, `edited by ${by}`, changed.join(", "));
  };
}

/**
 * Hides an AUTO entry until it is restored, or removes a MANUAL one. Outcome: the
 * revision of the deletion, or the current one if it was deleted before.
 * @throws DomainError: no such entry, or a stale etag.
 */
export function deleteEntry(id: string, etag: string, by: string): Command<bigint> {
  return (context) => {
    const before = find(context, id);
    if (before.entry.deletedAt !== undefined)
      return { commit: undefined, outcome: context.catalog.revision };
    refuseStaleEtag(before.entry, etag);
    const change: Change = {
      subject: "download-client",
      subjectId: id,
      type: "delete",
      detail: before.entry.name,
    };
    const { revision, at } = context;
    const records =
      before.entry.origin.source === "manual"
        ? { removedEntryIds: [id] }
        : { entries: [{ ...before.entry, deletedAt: at, updatedAt: at, revision }] };
    return { commit: commitOf(context, `deleted by ${by}`, [change], records), outcome: revision };
  };
}

/** @throws DomainError: no such entry. */
export function restoreEntry(id: string, by: string): Command<EntryOutcome> {
  return (context) => {
    const before = find(context, id);
    if (before.entry.deletedAt === undefined)
      return {
        commit: undefined,
        outcome: { resolved: before, revision: context.catalog.revision },
      };
    const entry: EntryRecord = {
      ...before.entry,
      deletedAt: undefined,
      updatedAt: context.at,
      revision: context.revision,
    };
    return put(context, entry, `restored by ${by}`, "");
  };
}

/**
 * Notes what a test has shown of credentials that an operator set. What a service
 * said of its own is for the service to say. Nothing is noted if the entry has
 * changed since the test began.
 */
export function noteTest(
  tested: ResolvedEntry,
  state: CredentialState,
  by: string,
): Command<TestNote> {
  return (context) => {
    const before = find(context, tested.entry.id);
    // The revision alone does not tell: that of a hidden entry stays while its service changes.
    const isSame =
      before.entry.revision === tested.entry.revision && !factsDiffer(before.facts, tested.facts);
    const verifiedAt = state === "verified" ? context.at : undefined;
    const isKnown =
      before.entry.credentialState === state &&
      (before.entry.verifiedAt === undefined) === (verifiedAt === undefined);
    if (!isSame || isKnown || !hasOwnLogin(before.entry.origin)) {
      const { commit, outcome } = unchanged(before);
      return { commit, outcome: { ...outcome, isNews: false } };
    }
    const entry: EntryRecord = {
      ...before.entry,
      credentialState: state,
      verifiedAt,
      updatedAt: context.at,
      revision: context.revision,
    };
    const { commit, outcome } = put(context, entry, `tested by ${by}`, state);
    return { commit, outcome: { ...outcome, isNews: true } };
  };
}

/** Differs whenever what managers see of the entry does, also between two histories of a registry. */
export function etagOf({ revision, updatedAt }: EntryRecord): string {
  return `${revision.toString(36)}-${updatedAt.toString(36)}`;
}

function find({ catalog }: DecisionContext, id: string): ResolvedEntry {
  const resolved = catalog.resolvedEntry(id);
  if (!resolved) throw notFound("download client", id);
  return resolved;
}

function unchanged(resolved: ResolvedEntry): Decision<EntryOutcome> {
  return { commit: undefined, outcome: { resolved, revision: resolved.entry.revision } };
}

function put(
  context: DecisionContext,
  entry: EntryRecord,
  reason: OperatorReason,
  detail: string,
): Decision<EntryOutcome> {
  const serviceId = entry.origin.source === "auto" ? entry.origin.serviceId : "";
  const resolved = resolveEntry(entry, context.catalog.service(serviceId));
  if (!resolved) throw new Error(`entry ${entry.id} has lost its service`);
  const type = isVisible(resolved) ? "put" : "delete"; // its service may be away
  const change: Change = { subject: "download-client", subjectId: entry.id, type, detail };
  return {
    commit: commitOf(context, reason, [change], { entries: [entry] }),
    outcome: { resolved, revision: context.revision },
  };
}

function refuseDeleted(entry: EntryRecord): void {
  if (entry.deletedAt !== undefined)
    throw new DomainError(
      `the download client ${JSON.stringify(entry.name)} is deleted: restore it first`,
      { kind: "precondition", reason: "ENTRY_DELETED" },
    );
}

function refuseStaleEtag(entry: EntryRecord, etag: string): void {
  if (etag !== "" && etag !== etagOf(entry))
    throw new DomainError(
      `etag is not the newest: ${JSON.stringify(entry.name)} was changed meanwhile; read it again and decide anew`,
      { kind: "conflict", reason: "ETAG_MISMATCH" },
    );
}

function refuseTakenName(
  { catalog }: DecisionContext,
  name: string | undefined,
  id: string | undefined,
): void {
  const holder = name === undefined ? undefined : catalog.entryNamed(name);
  if (!holder || holder.id === id) return;
  const resolved = catalog.resolvedEntry(holder.id);
  const isSeen = resolved !== undefined && isVisible(resolved);
  const waits =
    holder.deletedAt === undefined
      ? "waits for its service, which is away or of another type now"
      : "was deleted and may be restored";
  const description = isSeen
    ? "is the name of another entry: choose another"
    : `is kept for an entry that ${waits}: choose another`;
  throw new DomainError(`${NAME_FIELD}: ${description}`, {
    kind: "exists",
    reason: "NAME_TAKEN",
    violations: [{ field: NAME_FIELD, description }],
  });
}
