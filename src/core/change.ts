import type { EntryRecord } from "./entry.js";
import type { ServiceRecord } from "./service.js";
import type { TokenRecord } from "./token.js";

/** Why something changed. Kept in the change log and shown to people. */
export type ChangeReason =
  | "registered"
  | "re-registered"
  | "deregistered"
  | "goodbye"
  | "disconnected"
  | "expired"
  | "returned"
  | "status reported"
  | "token created"
  | "token revoked";

/** One thing that a commit changed. */
export interface Change {
  readonly subject: "service" | "download-client" | "token";
  readonly subjectId: string;
  readonly type: "put" | "delete";
}

/**
 * What one command commits: one revision, seen whole or not at all. The records
 * are complete rows; a record that was put says in `changes` what it means to
 * watchers.
 */
export interface Commit {
  readonly revision: bigint;
  /** Random; tells two histories apart that share a revision. */
  readonly stamp: string;
  /** Wall-clock ms. */
  readonly at: number;
  readonly reason: ChangeReason;
  readonly changes: readonly Change[];
  readonly services: readonly ServiceRecord[];
  readonly entries: readonly EntryRecord[];
  readonly tokens: readonly TokenRecord[];
}
