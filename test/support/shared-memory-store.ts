import type { AuditEntry } from "../../src/core/audit.js";
import type { Commit } from "../../src/core/change.js";
import type { EntryRecord } from "../../src/core/entry.js";
import { type Holding, isGone, type ServiceRecord } from "../../src/core/service.js";
import type { TokenRecord } from "../../src/core/token.js";
import type { Clock } from "../../src/lib/clock.js";
import { NODE_TTL_MS } from "../../src/store/node-queries.js";
import {
  type Allowance,
  type AuditPage,
  type AuditRequest,
  type CommitRequest,
  type DueLease,
  type HoldingChanges,
  type KeyRotation,
  type Listening,
  type NodeInfo,
  type Renewal,
  type SharedStore,
  type Since,
  type Store,
  StoreDivergedError,
  type StoredRegistry,
  type StorePoint,
  StoreUnavailableError,
  type TokenUse,
} from "../../src/store/store.js";
import { MemoryAudit } from "./memory-audit.js";

/** Steps of registry time, as the database takes them. */
const MAX_STEP_MS = 3_000;
const LONG_STEP_MS = 1_000;
/** Commits that one read of the feed gives. */
const FEED_PAGE = 500;
/** A transaction whose node stands still is ended after so long, and the others go on. */
const IDLE_LIMIT_MS = 2_000;
/** What is asked of a database that does not answer is given up after so long. */
const DEADLINES_MS = { ask: 2_000, write: 8_000 } as const;

interface ServiceRow {
  record: ServiceRecord;
  nodeId: string | undefined;
  lapsesAt: number | undefined;
}

interface NodeRow extends NodeInfo {
  renewedAt: number;
  seenAt: number;
  report?: string;
}

interface FeedRow {
  readonly commit: Commit;
  /** Stamp of the commit before. */
  readonly follows: string;
}

/** The database that several `SharedMemoryStore`s have in common: what PostgreSQL and the queries do, in memory. */
export class SharedDatabase {
  epoch = "epoch-1";
  readonly feed: FeedRow[] = [];
  readonly audit = new MemoryAudit();
  readonly services = new Map<string, ServiceRow>();
  readonly entries = new Map<string, EntryRecord>();
  readonly tokens = new Map<string, TokenRecord>();
  readonly nodes = new Map<string, NodeRow>();
  /** When tokens were used last. */
  readonly tokenUses = new Map<string, number>();
  revision = 0n;
  stamp = "";
  registryTimeMs = 0;
  /** Away for everybody. */
  isDown = false;
  /** How one is told that it cannot be reached: at once, or by its silence. */
  failure: "refused" | "silent" = "refused";
  /** Whether nodes hear at once that somebody has committed. */
  hints = true;
  /** What each way to the database, and each way back, takes, in ms. */
  latencyMs: () => number = () => 0;
  readonly clock: Clock;
  readonly stores: SharedMemoryStore[] = [];
  #advancedAt: number;
  #lock: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock) {
    this.clock = clock;
    this.#advancedAt = clock.now();
  }

  /** A way for one more node. */
  open(): SharedMemoryStore {
    const store = new SharedMemoryStore(this);
    this.stores.push(store);
    return store;
  }

  /** All commits so far. */
  get commits(): readonly Commit[] {
    return this.feed.map(({ commit }) => commit);
  }

  /** Where a lease stands. */
  holdingOf(serviceId: string): Holding | undefined {
    const row = this.services.get(serviceId);
    if (!row) return undefined;
    const { leaseId, leaseExpiresAt, lastSeenAt } = row.record;
    const lapsesAt = row.lapsesAt ?? leaseExpiresAt;
    return { leaseId, nodeId: row.nodeId, lapsesAt, leaseExpiresAt, lastSeenAt };
  }

  /** Forgets how it came to some revision. */
  compact(revision: bigint): void {
    const count = this.feed.findIndex(({ commit }) => commit.revision > revision);
    this.feed.splice(0, count < 0 ? this.feed.length : count);
  }

  /** Somebody else's commits, with no node of ours. */
  write(commits: readonly Commit[]): void {
    for (const commit of commits) {
      for (const record of commit.services) {
        const row = this.services.get(record.id);
        const kept = row?.record.leaseId === record.leaseId ? row : undefined;
        this.services.set(record.id, {
          record,
          nodeId: kept?.nodeId,
          lapsesAt: kept?.lapsesAt,
        });
      }
      for (const entry of commit.entries) this.entries.set(entry.id, entry);
      for (const id of commit.removedEntryIds) this.entries.delete(id);
      for (const token of commit.tokens) this.tokens.set(token.id, token);
      this.audit.append(commit.audit ?? []);
      this.feed.push({ commit, follows: this.stamp });
      this.revision = commit.revision;
      this.stamp = commit.stamp;
    }
    if (this.hints) for (const store of this.stores) store.hint();
  }

  /** What a backup would have. */
  backUp(): () => void {
    const { revision, stamp, registryTimeMs } = this;
    const feed = [...this.feed];
    const services = [...this.services].map(([id, row]) => [id, { ...row }] as const);
    const [entries, tokens] = [[...this.entries], [...this.tokens]];
    const nodes = [...this.nodes].map(([id, row]) => [id, { ...row }] as const);
    return () => {
      this.feed.splice(0, Number.POSITIVE_INFINITY, ...feed);
      refill(this.services, services);
      refill(this.entries, entries);
      refill(this.tokens, tokens);
      refill(this.nodes, nodes);
      Object.assign(this, { revision, stamp, registryTimeMs });
    };
  }

  /** Takes registry time on, by the database's clock. */
  advance(): void {
    const step = this.clock.now() - this.#advancedAt;
    this.registryTimeMs += step > MAX_STEP_MS ? LONG_STEP_MS : step;
    this.#advancedAt = this.clock.now();
  }

  /** What nobody holds gets its time anew, once, if nobody took registry time on. */
  spare(minTtlMs: number, graceMs: number): number {
    if (this.clock.now() - this.#advancedAt <= MAX_STEP_MS) return 0;
    let count = 0;
    for (const row of this.services.values()) {
      const { ttlMs, lastSeenAt, leaseActive, leaseCredited } = row.record;
      if (row.nodeId || !leaseActive || isGone(row.record) || leaseCredited) continue;
      const lapsesAt = this.registryTimeMs + LONG_STEP_MS + Math.max(ttlMs, minTtlMs) + graceMs;
      setFree(row, { lapsesAt, leaseExpiresAt: lapsesAt, lastSeenAt });
      credit(row, true);
      count++;
    }
    return count;
  }

  /** In turn with all who write. */
  locked<T>(write: () => Promise<T>): Promise<T> {
    const result = this.#lock.then(write);
    this.#lock = result.catch(() => {});
    return result;
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(ms, resolve));
  }
}

function refill<K, V>(map: Map<K, V>, rows: readonly (readonly [K, V])[]): void {
  map.clear();
  for (const [key, row] of rows) map.set(key, row);
}

/** What becomes of a commit whose answer gets lost. */
export type UnknownOutcome = "written" | "lost";

/** One node's way to a `SharedDatabase`. It can be told to fail, and its node to stand still. */
export class SharedMemoryStore implements Store, SharedStore {
  readonly shared = this;
  readonly name = "postgres://test/pulse";
  /** This node alone cannot reach the database. */
  isCutOff = false;
  /** It can read, and renew its row, but write nothing else. */
  failWrites = false;
  /** Of the next commits that have something to write. */
  readonly unknownOutcomes: UnknownOutcome[] = [];
  /** What the next uses throw, one each. */
  readonly errors: Error[] = [];
  /** Uses so far, by their names. */
  readonly uses: string[] = [];
  readonly #database: SharedDatabase;
  readonly #listeners = new Set<() => void>();
  #epoch: string | undefined;
  #running = Promise.resolve();
  #resume: (() => void) | undefined;

  constructor(database: SharedDatabase) {
    this.#database = database;
  }

  get isPaused(): boolean {
    return this.#resume !== undefined;
  }

  /** The node stands still: it hears no answer until it goes on. */
  pause(): void {
    this.#running = new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  hint(): void {
    if (this.#isReachable) for (const onHint of this.#listeners) queueMicrotask(onHint);
  }

  async load(): Promise<StoredRegistry> {
    return this.#use("load", "write", async () => {
      const db = this.#database;
      this.#epoch = db.epoch;
      return {
        epoch: db.epoch,
        revision: db.revision,
        stamp: db.stamp,
        registryTimeMs: db.registryTimeMs,
        services: [...db.services.values()].map(({ record }) => record),
        entries: [...db.entries.values()],
        tokens: [...db.tokens.values()],
        history: db.commits,
      };
    });
  }

  async commit({ known: ask, holdingsOf, decide }: CommitRequest): Promise<void> {
    const db = this.#database;
    return this.#use("commit", "write", () =>
      db.locked(async () => {
        await this.#untilIdleEnds();
        const known = ask();
        this.#checkClock(known);
        const missed = this.#feedAfter(known, Number.POSITIVE_INFINITY);
        if (db.revision > known.revision && missed.at(-1)?.stamp !== db.stamp) throw lostTrack();
        const holdings = new Map(
          holdingsOf.flatMap((id) => {
            const holding = db.holdingOf(id);
            return holding ? [[id, holding] as const] : [];
          }),
        );
        const { revision } = db;
        const commits = decide({ missed, holdings });
        const last = commits.at(-1);
        if (!last) return;
        if (last.revision !== revision + BigInt(commits.length))
          throw new RangeError(`revision ${last.revision} would leave a gap after ${revision}`);
        await this.#travel("write");
        await this.#untilIdleEnds();
        const outcome = this.unknownOutcomes.shift();
        if (outcome !== "lost") db.write(commits);
        if (outcome) throw unknownOutcome();
      }),
    );
  }

  flush(): Promise<void> {
    throw new Error("a shared store is not flushed");
  }

  noteTokenUses(uses: readonly TokenUse[]): Promise<void> {
    return this.#use("noteTokenUses", "write", () =>
      this.#database.locked(async () => {
        const { tokenUses } = this.#database;
        for (const { tokenId, usedAt } of uses)
          tokenUses.set(tokenId, Math.max(usedAt, tokenUses.get(tokenId) ?? usedAt));
      }),
    );
  }

  tokenUses(): Promise<readonly TokenUse[]> {
    return this.#use("tokenUses", "ask", async () =>
      [...this.#database.tokenUses].map(([tokenId, usedAt]) => ({ tokenId, usedAt })),
    );
  }

  compact(revision: bigint): Promise<void> {
    return this.#use("compact", "write", async () => this.#database.compact(revision));
  }

  appendAudit(entries: readonly AuditEntry[]): Promise<void> {
    return this.#use("appendAudit", "write", async () => this.#database.audit.append(entries));
  }

  readAudit(request: AuditRequest): Promise<AuditPage> {
    return this.#use("readAudit", "ask", async () => this.#database.audit.read(request));
  }

  trimAudit(before: number): Promise<void> {
    return this.#use("trimAudit", "write", async () => this.#database.audit.trim(before));
  }

  rotateKeys(): Promise<KeyRotation> {
    throw new Error("nothing is encrypted in memory");
  }

  since(known: StorePoint): Promise<Since> {
    return this.#use("since", "ask", async () => {
      this.#checkClock(known);
      const { revision } = this.#database;
      if (revision === known.revision) return { commits: [], revision };
      const commits = this.#feedAfter(known, FEED_PAGE);
      if (commits.length === 0) throw lostTrack();
      return { commits, revision };
    });
  }

  listen(onHint: () => void): Listening {
    this.#listeners.add(onHint);
    queueMicrotask(onHint);
    return {
      stop: async () => {
        this.#listeners.delete(onHint);
      },
    };
  }

  spare({ minTtlMs, graceMs }: Allowance): Promise<number> {
    return this.#use("spare", "write", () =>
      this.#database.locked(async () => this.#database.spare(minTtlMs, graceMs)),
    );
  }

  join({ id, name }: NodeInfo): Promise<Renewal> {
    return this.#use("join", "ask", async () => {
      const db = this.#database;
      db.nodes.set(id, { id, name, renewedAt: db.registryTimeMs, seenAt: db.clock.wallNow() });
      return this.#renewed(id);
    });
  }

  renew(nodeId: string): Promise<Renewal> {
    return this.#use("renew", "ask", async () => this.#renewed(nodeId));
  }

  exchangeReports(nodeId: string, report: string): Promise<readonly string[]> {
    return this.#use("exchangeReports", "ask", async () => {
      const node = this.#database.nodes.get(nodeId);
      if (node) node.report = report;
      return [...this.#database.nodes.values()].flatMap((other) =>
        other.id !== nodeId && other.report !== undefined ? [other.report] : [],
      );
    });
  }

  bury(
    nodeId: string,
    { minTtlMs, graceMs }: Allowance,
    onlyIfDead: boolean,
  ): Promise<number | undefined> {
    return this.#use("bury", "write", () =>
      this.#database.locked(async () => {
        const db = this.#database;
        const node = db.nodes.get(nodeId);
        if (!node || (onlyIfDead && node.renewedAt >= db.registryTimeMs - NODE_TTL_MS))
          return undefined;
        db.nodes.delete(nodeId);
        let count = 0;
        for (const row of db.services.values()) {
          if (row.nodeId !== nodeId || !row.record.leaseActive) continue;
          const { ttlMs, lastSeenAt } = row.record;
          const lapsesAt = db.registryTimeMs + Math.max(ttlMs, minTtlMs) + graceMs;
          setFree(row, {
            lapsesAt,
            leaseExpiresAt: lapsesAt,
            lastSeenAt: Math.max(lastSeenAt, node.seenAt),
          });
          credit(row, true);
          count++;
        }
        return count;
      }),
    );
  }

  hold(nodeId: string, { claims, releases }: HoldingChanges): Promise<void> {
    return this.#use("hold", "write", () =>
      this.#database.locked(async () => {
        const { services, nodes } = this.#database;
        for (const { serviceId, leaseId, ...release } of releases) {
          const row = services.get(serviceId);
          if (row?.record.leaseId !== leaseId || row.nodeId !== nodeId) continue;
          setFree(row, release);
          credit(row, false);
        }
        for (const { serviceId, leaseId } of claims) {
          const row = services.get(serviceId);
          if (row?.record.leaseId !== leaseId || !row.record.leaseActive || !nodes.has(nodeId))
            continue;
          row.nodeId = nodeId;
          row.lapsesAt = undefined;
          credit(row, false);
        }
      }),
    );
  }

  due(): Promise<readonly DueLease[]> {
    return this.#use("due", "ask", async () => {
      const { services, registryTimeMs } = this.#database;
      return [...services.values()].flatMap(({ record, nodeId }) => {
        const holding = this.#database.holdingOf(record.id);
        const isDue =
          record.leaseActive &&
          !isGone(record) &&
          nodeId === undefined &&
          holding &&
          holding.lapsesAt <= registryTimeMs;
        return isDue ? [{ serviceId: record.id, holding }] : [];
      });
    });
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  get #isReachable(): boolean {
    return !this.isCutOff && !this.#database.isDown;
  }

  /** There and back again. Whoever does not hear the answer does not know what was done. */
  async #use<T>(name: string, kind: "ask" | "write", action: () => Promise<T>): Promise<T> {
    this.uses.push(name);
    const error = this.errors.shift();
    if (error) throw error;
    await this.#travel(kind);
    if (this.failWrites && kind === "write" && name !== "load")
      throw new StoreUnavailableError("the database is read-only");
    const done = await action().then(
      (value) => ({ value }),
      (thrown: unknown) => ({ thrown }),
    );
    await this.#running;
    if ("thrown" in done) throw done.thrown;
    await this.#travel(kind).catch((thrown) => {
      throw name === "commit" ? unknownOutcome() : thrown;
    });
    await this.#running;
    return done.value;
  }

  async #travel(kind: "ask" | "write"): Promise<void> {
    const ms = this.#database.latencyMs();
    if (ms > 0) await this.#database.wait(ms);
    if (this.#isReachable) return;
    const givenUpAt = this.#database.clock.now() + DEADLINES_MS[kind];
    // Once it can be reached again, the connection is found to be broken.
    while (
      this.#database.failure === "silent" &&
      !this.#isReachable &&
      this.#database.clock.now() < givenUpAt
    )
      await this.#database.wait(100);
    await this.#running;
    throw new StoreUnavailableError("there is no connection");
  }

  /** A node that stands still in a transaction is thrown out of it. */
  async #untilIdleEnds(): Promise<void> {
    if (!this.isPaused) return;
    let isOut = false;
    await Promise.race([
      this.#running,
      this.#database.wait(IDLE_LIMIT_MS).then(() => {
        isOut = true;
      }),
    ]);
    if (isOut)
      throw new StoreUnavailableError("this Pulse stood still in the middle of a transaction");
  }

  #renewed(nodeId: string): Renewal {
    const db = this.#database;
    db.advance();
    const { registryTimeMs } = db;
    const node = db.nodes.get(nodeId);
    const dead = [...db.nodes.values()].filter(
      ({ id, renewedAt }) => id !== nodeId && renewedAt < registryTimeMs - NODE_TTL_MS,
    );
    if (node) {
      node.renewedAt = registryTimeMs;
      node.seenAt = db.clock.wallNow();
    }
    return { registryTimeMs, isMember: node !== undefined, dead };
  }

  #checkClock({ revision, stamp }: StorePoint): void {
    const db = this.#database;
    const isSame = this.#epoch === undefined || this.#epoch === db.epoch;
    const isBehind = db.revision < revision || (db.revision === revision && db.stamp !== stamp);
    if (!isSame || isBehind)
      throw new StoreDivergedError(
        `the store stands at revision ${db.revision}, not at ${revision}`,
      );
  }

  #feedAfter(known: StorePoint, count: number): readonly Commit[] {
    let { revision, stamp } = known;
    const rows = this.#database.feed.filter(({ commit }) => commit.revision > known.revision);
    return rows.slice(0, count).map(({ commit, follows }) => {
      if (commit.revision !== revision + 1n || follows !== stamp) throw lostTrack();
      ({ revision, stamp } = commit);
      return commit;
    });
  }
}

function setFree(
  row: ServiceRow,
  { lapsesAt, leaseExpiresAt, lastSeenAt }: Omit<Holding, "nodeId" | "leaseId">,
): void {
  row.nodeId = undefined;
  row.lapsesAt = lapsesAt;
  row.record = { ...row.record, leaseExpiresAt, lastSeenAt };
}

function credit(row: ServiceRow, leaseCredited: boolean): void {
  row.record = { ...row.record, leaseCredited };
}

function unknownOutcome(): StoreUnavailableError {
  return new StoreUnavailableError("the connection broke", { isOutcomeUnknown: true });
}

function lostTrack(): StoreDivergedError {
  return new StoreDivergedError("how the store came to this is not in it");
}
