import type { AuditEntry } from "./audit.js";
import type { EntryRecord } from "./entry.js";
import type { ServiceRecord } from "./service.js";
import type { TokenRecord } from "./token.js";

/** Why something changed. Kept in the change log and shown to people. */
export type ChangeReason =
  | "registered"
  | "re-registered"
  /** A Register took the lease of a process whose stream is open: two share one identity. */
  | "superseded"
  | "deregistered"
  | "forgotten"
  | "goodbye"
  | "disconnected"
  | "expired"
  | "returned"
  | "status reported"
  | "token created"
  | "token revoked"
  | OperatorReason;

/** What an operator did by hand, with the name of his token. */
export type OperatorReason = `${OperatorVerb} by ${string}`;
export type OperatorVerb = "created" | "edited" | "deleted" | "restored" | "tested" | "approved";

/** One thing that a commit changed. */
export interface Change {
  readonly subject: "service" | "download-client" | "token";
  readonly subjectId: string;
  /** `delete`: watchers do not see it any more. */
  readonly type: "put" | "delete";
  /** What it came to, for people: a status with its reason, or the fields that were edited. */
  readonly detail: string;
}

/** What a commit is remembered by: all of it but the records. */
export interface CommitSummary {
  readonly revision: bigint;
  /** Random; tells two histories apart that share a revision. */
  readonly stamp: string;
  /** Wall-clock ms. */
  readonly at: number;
  readonly reason: ChangeReason;
  readonly changes: readonly Change[];
}

/**
 * What one command commits: one revision, seen whole or not at all. The records
 * are complete rows; `changes` says what they mean to watchers, which may be
 * nothing.
 */
export interface Commit extends CommitSummary {
  readonly services: readonly ServiceRecord[];
  readonly entries: readonly EntryRecord[];
  /** Entries whose rows go, and with them their names. */
  readonly removedEntryIds: readonly string[];
  readonly tokens: readonly TokenRecord[];
  /** What it is to the audit log; written with it, and known to nobody afterwards but that log. */
  readonly audit?: readonly AuditEntry[];
}

/** A commit before the registry has given it its stamp. */
export type UnstampedCommit = Omit<Commit, "stamp" | "audit">;
