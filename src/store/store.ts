import type { Commit, CommitSummary } from "../core/change.js";
import type { EntryRecord } from "../core/entry.js";
import type { Presence, ServiceRecord } from "../core/service.js";
import type { TokenRecord } from "../core/token.js";

/** Everything a registry starts from. */
export interface StoredRegistry {
  /** Random id made with the store. */
  readonly epoch: string;
  /** Revision and stamp of the newest commit; 0 and empty in a new store. */
  readonly revision: bigint;
  readonly stamp: string;
  /** Registry time as last written, in ms. */
  readonly registryTimeMs: number;
  readonly services: readonly ServiceRecord[];
  readonly entries: readonly EntryRecord[];
  readonly tokens: readonly TokenRecord[];
  /** What is left of the change log: every commit after some revision, up to the newest. */
  readonly history: readonly CommitSummary[];
}

/** Signs of life of one instance, as they are flushed in batches. */
export interface FlushedPresence extends Presence {
  readonly serviceId: string;
  /** The lease that was renewed: if the service has another by now, nothing is written. */
  readonly leaseId: string;
}

/**
 * The port between the registry and its database. One registry owns a store at
 * a time; every method throws StoreUnavailableError when the database cannot be
 * used just now, and then nothing was written.
 */
export interface Store {
  /**
   * @param maxHistory how many commits of the change log to read, the newest ones; all if left out
   * @throws StoreOpenError if what is stored is damaged.
   */
  load(maxHistory?: number): Promise<StoredRegistry>;

  /**
   * Writes the commits in one durable transaction. `previous` is the revision
   * that the first of them follows: if the store stands at another, it throws
   * StoreDivergedError, since someone else wrote to it.
   */
  commit(commits: readonly Commit[], previous: bigint): Promise<void>;

  /** Writes signs of life and registry time. No revision, no change. */
  flush(flush: PresenceFlush): Promise<void>;

  /** Forgets the changes up to and with this revision. Slow if there are many, but others need not wait. */
  compact(revision: bigint): Promise<void>;

  close(): Promise<void>;
}

export interface PresenceFlush {
  readonly registryTimeMs: number;
  readonly presences: readonly FlushedPresence[];
}

/** The database cannot be used just now: full, read-only, locked, or failing. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
}

/** Someone else wrote to a store that this process believed to be its own. */
export class StoreDivergedError extends Error {
  override readonly name = "StoreDivergedError";
}

/** The store cannot be opened, and trying again will not help: the message says what to do. */
export class StoreOpenError extends Error {
  override readonly name = "StoreOpenError";
}
