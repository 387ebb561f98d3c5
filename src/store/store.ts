import type { AuditAction, AuditEntry, StoredAuditEntry } from "../core/audit.js";
import type { Commit, CommitSummary } from "../core/change.js";
import type { EntryRecord } from "../core/entry.js";
import type { Holding, Presence, ServiceRecord } from "../core/service.js";
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

/** A commit's place in a history. */
export interface StorePoint {
  readonly revision: bigint;
  readonly stamp: string;
}

export interface CommitRequest {
  /** The newest commit that the caller knows, asked when the store is about to look. */
  readonly known: () => StorePoint;
  /** Services of which the decision needs the holding, in a store that is shared. */
  readonly holdingsOf: readonly string[];
  /**
   * Called once the store is locked against other writers, at most once. What it
   * returns is written; its revisions must follow the newest without a gap.
   */
  readonly decide: (news: News) => readonly Commit[];
}

/** What the caller of a commit could not know before. */
export interface News {
  /** What others have committed since `known`, oldest first, up to the newest. */
  readonly missed: readonly Commit[];
  /** By service; as they stand until this commit is done. */
  readonly holdings: ReadonlyMap<string, Holding>;
}

/**
 * The port between the registry and its database. Every method throws
 * StoreUnavailableError when the database cannot be used just now.
 */
export interface Store {
  /**
   * @param maxHistory how many commits of the change log to read, the newest ones; all if left out
   * @throws StoreOpenError if what is stored is damaged.
   */
  load(maxHistory?: number): Promise<StoredRegistry>;

  /**
   * Decides and writes in one durable transaction, in which nobody else commits.
   * If it throws, nothing was written, unless a StoreUnavailableError says that
   * nobody knows.
   * @throws StoreDivergedError if the history of the store does not go on from `known`.
   */
  commit(request: CommitRequest): Promise<void>;

  /** Writes signs of life and registry time. No revision, no change. For a store of one Pulse alone. */
  flush(flush: PresenceFlush): Promise<void>;

  /** Writes when tokens were used last; an older use changes nothing. No revision, no change. */
  noteTokenUses(uses: readonly TokenUse[]): Promise<void>;

  /** When each token was used last, as anybody who shares this store has written it. */
  tokenUses(): Promise<readonly TokenUse[]>;

  /** Forgets the changes up to and with this revision. Slow if there are many, but others need not wait. */
  compact(revision: bigint): Promise<void>;

  /** Writes entries of the audit log that belong to no commit, in this order, all or none. */
  appendAudit(entries: readonly AuditEntry[]): Promise<void>;

  /** Reads a part of the audit log. Whoever asks on from `lastId` misses nothing, also of other nodes. */
  readAudit(request: AuditRequest): Promise<AuditPage>;

  /** Deletes the entries of before an instant, in wall-clock ms. Slow if there are many, but others need not wait. */
  trimAudit(before: number): Promise<void>;
  /**
   * Seals all secrets anew with the newest key, while others commit. No revision, no change.
   * A store of one Pulse alone, whose key file it may write, makes that key first, and takes
   * the old ones out of the file at the end. Whatever cuts it short, the store opens with the
   * keys of its source, and the next call goes on; one that comes meanwhile gets the same answer.
   * @param onStep told after each step
   * @throws KeyRotationError if somebody has to do something first.
   */
  rotateKeys(onStep: (step: RotationStep) => void): Promise<KeyRotation>;

  /** What nodes that share this store have beside it; undefined if it belongs to one Pulse alone. */
  readonly shared: SharedStore | undefined;

  close(): Promise<void>;
}

/** The last call that a token let in. */
export interface TokenUse {
  readonly tokenId: string;
  /** Wall-clock ms. */
  readonly usedAt: number;
}

export interface AuditRequest {
  /** Only entries after this one. */
  readonly afterId: bigint;
  readonly limit: number;
  /** The newest ones rather than the oldest. */
  readonly newest?: boolean;
  /** Empty: any. */
  readonly actions?: readonly AuditAction[];
}

export interface AuditPage {
  /** In the order of their ids. */
  readonly entries: readonly StoredAuditEntry[];
  /** No entry up to this one is left out but those of other actions, or for `newest` older ones. */
  readonly lastId: bigint;
}

/**
 * `prepared`: a newer key is there, and durable · `adopted`: it seals all that is committed ·
 * `resealed`: some rows, by now · `purged`: what they were before is no longer on disk ·
 * `retired`: the old keys are out of the key file.
 */
export type RotationStep = "prepared" | "adopted" | "resealed" | "purged" | "retired";

export interface KeyRotation {
  /** Of the key that everything is sealed with. */
  readonly keyId: string;
  /** How many texts were sealed anew. */
  readonly resealed: number;
  /** Keys that nothing in the store needs any more. */
  readonly retiredKeyIds: readonly string[];
}

export interface PresenceFlush {
  readonly registryTimeMs: number;
  readonly presences: readonly FlushedPresence[];
}

/** What nodes on one database need to know of each other. All instants are registry time in ms. */
export interface SharedStore {
  /** Where it is, for people, without a password. */
  readonly name: string;

  /**
   * What was committed after `known`; a part of it if there is much.
   * @throws StoreDivergedError as `commit` does.
   */
  since(known: StorePoint): Promise<Since>;

  /**
   * Calls `onHint` whenever somebody may have committed, and after each
   * connection that came about. A hint may be missing, late, or for nothing.
   */
  listen(onHint: () => void): Listening;

  /**
   * To be called before a node that starts joins. If no node was alive, whoever was alive
   * before and is held by nobody gets its TTL and `allowance.graceMs` anew: nobody was
   * there to hear of it. Once only until it is heard of, or frequent starts would keep
   * the dead alive.
   * @returns how many instances that were.
   */
  spare(allowance: Allowance): Promise<number>;

  /** Writes the row of a node that starts, or that was taken for dead. */
  join(node: NodeInfo): Promise<Renewal>;

  /** Renews a node's row, and takes registry time on. */
  renew(nodeId: string): Promise<Renewal>;

  /** Writes what a node knows of its instances, and reads what the others wrote, each whole or not at all. */
  exchangeReports(nodeId: string, report: string): Promise<readonly string[]>;

  /**
   * Removes the row of a node and sets its instances free: each has its TTL, or
   * `allowance.minTtlMs`, and `allowance.graceMs` to appear on another.
   * @param onlyIfDead do nothing if it was renewed meanwhile
   * @returns how many instances were set free; undefined: somebody else has done it, or it lives.
   */
  bury(nodeId: string, allowance: Allowance, onlyIfDead: boolean): Promise<number | undefined>;

  /** Says which instances a node holds now, and which no more. */
  hold(nodeId: string, changes: HoldingChanges): Promise<void>;

  /** Instances that should be OFFLINE by now, and that no node holds. Some of them, if they are many. */
  due(): Promise<readonly DueLease[]>;
}

export interface Since {
  /** Oldest first and without a gap. */
  readonly commits: readonly Commit[];
  /** The newest revision there is. */
  readonly revision: bigint;
}

export interface Listening {
  stop(): Promise<void>;
}

export interface NodeInfo {
  /** Random, of one run of one Pulse. */
  readonly id: string;
  /** For people: where it listens. */
  readonly name: string;
}

export interface Renewal {
  readonly registryTimeMs: number;
  /** False if others took this node for dead: its instances are free, and it must join anew. */
  readonly isMember: boolean;
  /** Nodes that have not renewed their rows for too long. */
  readonly dead: readonly NodeInfo[];
}

export interface Allowance {
  readonly minTtlMs: number;
  readonly graceMs: number;
}

export interface HoldingChanges {
  /** Taken from whoever held them. */
  readonly claims: readonly { readonly serviceId: string; readonly leaseId: string }[];
  /** Given up, unless another node has taken them. */
  readonly releases: readonly (Omit<Holding, "nodeId"> & { readonly serviceId: string })[];
}

export interface DueLease {
  readonly serviceId: string;
  readonly holding: Holding;
}

/** The database cannot be used just now: full, read-only, locked, away, or failing. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
  /** The connection broke at the very end: the commit may have been made or not. */
  readonly isOutcomeUnknown: boolean;

  constructor(message: string, options?: ErrorOptions & { readonly isOutcomeUnknown?: boolean }) {
    super(message, options);
    this.isOutcomeUnknown = options?.isOutcomeUnknown ?? false;
  }
}

/**
 * The store's history does not go on from what this process knows of it: someone
 * else wrote to a store that was its own, a backup was restored, or it was away
 * for so long that the changes are compacted.
 */
export class StoreDivergedError extends Error {
  override readonly name = "StoreDivergedError";
}

/** The keys cannot be rotated until somebody has done what the message says. */
export class KeyRotationError extends Error {
  override readonly name = "KeyRotationError";

  constructor(
    message: string,
    readonly reason: "NO_NEW_KEY" | "KEY_FILE_CHANGED",
  ) {
    super(message);
  }
}

/** The store cannot be opened, and trying again will not help: the message says what to do. */
export class StoreOpenError extends Error {
  override readonly name = "StoreOpenError";
}
