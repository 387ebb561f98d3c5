import { type CompiledQuery, type Kysely, type Selectable, sql, type Transaction } from "kysely";
import type { Commit } from "../core/change.js";
import type { Holding } from "../core/service.js";
import type { Secrets } from "../lib/sealing.js";
import { AuditQueries } from "./audit-queries.js";
import { BulkStatement } from "./bulk-statement.js";
import { CommitStatements, type NewestAudit } from "./commit-statements.js";
import { askTogether, commitTogether } from "./pipeline.js";
import {
  commitOfFeed,
  commitSummaries,
  entryRecord,
  serviceRecord,
  tokenRecord,
} from "./records.js";
import type { Schema, StoredFeed } from "./schema.js";
import { checkOf, sealLike } from "./secret-key.js";
import {
  type CommitRequest,
  type PresenceFlush,
  type Since,
  StoreDivergedError,
  type StoredRegistry,
  type StorePoint,
  type TokenUse,
} from "./store.js";

/** The row of a presence, in the order in which the statement names its columns. */
interface PresenceRow {
  readonly id: string;
  readonly leaseId: string;
  readonly lastSeenAt: number;
  readonly leaseExpiresAt: number;
  readonly leaseCredited: number;
  readonly verifiedAt: number | null;
}

/** Presences that are written in one turn of the event loop: some 5 ms. */
const FLUSH_SLICE = 1_024;
/** Revisions that one transaction of a compaction deletes: some 5 ms. */
const COMPACTION_SLICE = 1_000n;
/** Commits that are read at a time. */
const FEED_PAGE = 500;

export interface QueriesOptions {
  /** A store that has the newest schema and its clock. */
  readonly db: Kysely<Schema>;
  readonly secrets: Secrets;
  /** Several nodes write to it: they take turns at the clock's row, and tell each other what they wrote. */
  readonly isShared: boolean;
  /** Random, of this process: others are told who commits, and nobody listens to himself. */
  readonly author?: string;
}

type HoldingRow = Pick<
  Selectable<Schema["services"]>,
  "id" | "lease_id" | "node_id" | "lapses_at" | "lease_expires_at" | "last_seen_at"
>;

/** What there is to know of a history before one goes on with it. */
interface ClockView extends StorePoint, NewestAudit {
  readonly epoch: string;
}

/** The clock as a writer reads it. */
interface WritersClock extends ClockView {
  readonly key_check: string;
}

/** The clock, and with it one row of the feed, unless there is none. */
type SinceRow = Omit<ClockView, "stamp" | "auditId"> & { readonly newest_stamp: string } & {
  readonly [C in keyof StoredFeed]: StoredFeed[C] | null;
};

/** All that a registry asks of its database, in terms that both engines understand. */
export class Queries {
  readonly audit: AuditQueries;
  readonly #options: QueriesOptions;
  readonly #clock: CompiledQuery<WritersClock>;
  readonly #missed: CompiledQuery<StoredFeed>;
  readonly #since: CompiledQuery<SinceRow>;
  readonly #holdings: CompiledQuery<HoldingRow>;
  readonly #commits: CommitStatements;
  readonly #presences: BulkStatement<PresenceRow>;
  readonly #tokenUses: BulkStatement<TokenUse>;
  /** Of the history that this process goes on with, once it has loaded it. */
  #epoch: string | undefined;

  constructor(options: QueriesOptions) {
    const { db, isShared } = options;
    this.#options = options;
    this.audit = new AuditQueries(options);
    const clock = db
      .selectFrom("clock")
      .select(["epoch", "rev as revision", "stamp", "audit_id as auditId", "key_check"]);
    this.#clock = (isShared ? clock.forUpdate() : clock).compile();
    this.#missed = db
      .selectFrom("feed")
      .selectAll()
      .where("rev", ">", 0n)
      .orderBy("rev")
      .limit(sql.lit(FEED_PAGE))
      .compile();
    // The clock comes along, to tell "nothing new" from "another history".
    this.#since = db
      .selectFrom("clock")
      .leftJoin("feed", (join) => join.on("feed.rev", ">", 0n))
      .select(["clock.epoch", "clock.rev as revision", "clock.stamp as newest_stamp"])
      .select(["feed.rev", "feed.stamp", "feed.follows", "feed.body"])
      .orderBy("feed.rev")
      .limit(sql.lit(FEED_PAGE))
      .compile();
    this.#holdings = db
      .selectFrom("services")
      .select(["id", "lease_id", "node_id", "lapses_at", "lease_expires_at", "last_seen_at"])
      .where(sql<boolean>`id = any(${[]}::text[])`)
      .compile();
    this.#commits = new CommitStatements(options);
    this.#presences = new BulkStatement((rows) => presenceStatement(db, rows));
    this.#tokenUses = new BulkStatement((rows) => tokenUseStatement(db, rows));
  }

  /** From now on, another epoch means that this is another registry. */
  goOnWith(epoch: string): void {
    this.#epoch = epoch;
  }

  /** @throws UnsealError if credentials do not open. */
  async load(maxHistory?: number): Promise<StoredRegistry> {
    const { db, secrets } = this.#options;
    const rows = await asOfOneMoment(db, this.#options.isShared, async (trx) => {
      const clock = await trx.selectFrom("clock").selectAll().executeTakeFirstOrThrow();
      const time = await trx.selectFrom("registry_time").select("ms").executeTakeFirstOrThrow();
      const services = await trx.selectFrom("services").selectAll().execute();
      const downloadClients = await trx.selectFrom("download_clients").selectAll().execute();
      const tokens = await trx.selectFrom("tokens").selectAll().execute();
      const changes = await trx
        .selectFrom("change_log")
        .selectAll()
        .where("rev", ">", maxHistory === undefined ? 0n : clock.rev - BigInt(maxHistory))
        .where("rev", ">", clock.min_rev)
        .orderBy("rev")
        .orderBy("position")
        .execute();
      return { clock, time, services, downloadClients, tokens, changes };
    });
    const { clock } = rows;
    this.goOnWith(clock.epoch);
    // Not in the transaction: to open the credentials of a large fleet takes a while.
    return {
      epoch: clock.epoch,
      revision: clock.rev,
      stamp: clock.stamp,
      registryTimeMs: rows.time.ms,
      services: rows.services.map((row) => serviceRecord(row, secrets)),
      entries: rows.downloadClients.map((row) => entryRecord(row, secrets)),
      tokens: rows.tokens.map(tokenRecord),
      history: commitSummaries(rows.changes),
    };
  }

  /** @throws StoreDivergedError if the history does not go on from what is known. */
  async commit(request: CommitRequest): Promise<void> {
    const { db, isShared } = this.#options;
    // The clock comes first, so that writers form a line at its row and revision order is commit order.
    if (isShared) return this.#commitAmongOthers(request);
    await db.transaction().execute(async (trx) => {
      const { rows } = await trx.executeQuery(this.#clock);
      for (const statement of this.#decideAlone(rows[0], request))
        await trx.executeQuery(statement);
    });
  }

  #decideAlone(clock: ClockView | undefined, request: CommitRequest): CompiledQuery[] {
    const known = request.known();
    const newest = this.#checkClock(clock, known);
    if (newest.revision !== known.revision) throw otherHistory(newest, known);
    return this.#commits.writing(request.decide({ missed: [], holdings: new Map() }), newest);
  }

  async #commitAmongOthers(request: CommitRequest): Promise<void> {
    const learned: Commit[] = [];
    for (let isDone = false; !isDone; ) {
      // Asked only now: much may have been learned while this waited for its turn.
      const known = learned.at(-1) ?? request.known();
      await commitTogether(this.#options.db, async (trx) => {
        const statements = await this.#decideAmongOthers(trx, request, known, learned);
        isDone = statements !== undefined;
        return statements ?? [];
      });
      if (!isDone) learned.push(...(await this.since(known)).commits);
    }
  }

  /** @returns undefined if so much is to be learned first that the others should not wait for it */
  async #decideAmongOthers(
    trx: Transaction<Schema>,
    { holdingsOf, decide }: CommitRequest,
    known: StorePoint,
    learned: readonly Commit[],
  ): Promise<CompiledQuery[] | undefined> {
    const [clock = [], feed = [], rows = []] = await askTogether(trx, [
      this.#clock,
      { ...this.#missed, parameters: [known.revision] },
      ...(holdingsOf.length > 0 ? [{ ...this.#holdings, parameters: [holdingsOf] }] : []),
    ]);
    const writersClock = clock[0] as WritersClock | undefined;
    const newest = this.#checkClock(writersClock, known);
    if (writersClock) sealLike(writersClock.key_check, this.#options.secrets);
    if (newest.revision - known.revision > FEED_PAGE) return undefined;
    const missed = commitsOf(feed as StoredFeed[], known, this.#options.secrets);
    if ((missed.at(-1) ?? known).stamp !== newest.stamp) throw lostTrack(newest.revision);
    const holdings = holdingsIn(rows as HoldingRow[]);
    return this.#commits.writing(decide({ missed: [...learned, ...missed], holdings }), newest);
  }

  /** What was committed after `known`, at most some hundred. @throws StoreDivergedError */
  async since(known: StorePoint): Promise<Since> {
    const { db, secrets } = this.#options;
    const statement: CompiledQuery<SinceRow> = { ...this.#since, parameters: [known.revision] };
    const { rows } = await db.executeQuery(statement);
    const [first] = rows;
    const clock = first && { ...first, stamp: first.newest_stamp };
    const { revision } = this.#checkClock(clock, known);
    if (revision === known.revision) return { commits: [], revision };
    return { commits: commitsOf(rows as StoredFeed[], known, secrets), revision };
  }

  async flush({ registryTimeMs, presences }: PresenceFlush): Promise<void> {
    const { db } = this.#options;
    const rows = presences.map((presence) => ({
      id: presence.serviceId,
      leaseId: presence.leaseId,
      lastSeenAt: presence.lastSeenAt,
      leaseExpiresAt: presence.leaseExpiresAt,
      leaseCredited: Number(presence.leaseCredited),
      verifiedAt: presence.verifiedAt ?? null,
    }));
    await db.transaction().execute(async (trx) => {
      await trx.updateTable("registry_time").set({ ms: registryTimeMs }).execute();
      for (let from = 0; from < rows.length; from += FLUSH_SLICE) {
        if (from > 0) await new Promise(setImmediate); // heartbeats do not wait for all of it
        await this.#presences.run(trx, rows.slice(from, from + FLUSH_SLICE));
      }
    });
  }

  async noteTokenUses(uses: readonly TokenUse[]): Promise<void> {
    await this.#options.db.transaction().execute(async (trx) => {
      // Whoever writes rows of tokens has the clock: two of them never wait for each other's rows.
      await trx.executeQuery(this.#clock);
      await this.#tokenUses.run(
        trx,
        uses.map(({ tokenId, usedAt }) => ({ tokenId, usedAt })),
      );
    });
  }

  async tokenUses(): Promise<readonly TokenUse[]> {
    const rows = await this.#options.db
      .selectFrom("tokens")
      .select(["id", "last_used_at"])
      .where("last_used_at", "is not", null)
      .execute();
    return rows.map((row) => ({ tokenId: row.id, usedAt: row.last_used_at as number }));
  }

  /**
   * Forgets the oldest changes up to and with this revision, some of them if they are
   * many, in one transaction that begins by saying what it takes.
   * @returns whether some may be left
   */
  async compactSlice(revision: bigint): Promise<boolean> {
    const { db } = this.#options;
    const oldest = await db
      .selectFrom("change_log")
      .select("rev")
      .where("rev", "<=", revision)
      .orderBy("rev")
      .limit(1)
      .executeTakeFirst();
    if (!oldest) return false;
    const sliceEnd = oldest.rev + COMPACTION_SLICE - 1n;
    const upTo = sliceEnd < revision ? sliceEnd : revision;
    await db.transaction().execute(async (trx) => {
      // Another node may have gone further.
      await trx.updateTable("clock").set({ min_rev: upTo }).where("min_rev", "<", upTo).execute();
      await trx.deleteFrom("change_log").where("rev", "<=", upTo).execute();
      await trx.deleteFrom("feed").where("rev", "<=", upTo).execute();
    });
    return upTo < revision;
  }

  /**
   * Lets the newest key seal from the next commit on; in a shared store that of every node.
   * @throws UnsealError if the store's present key is not here
   */
  async adoptNewestKey(): Promise<void> {
    const { db, secrets } = this.#options;
    await db.transaction().execute(async (trx) => {
      const { rows } = await trx.executeQuery(this.#clock);
      const check = rows[0]?.key_check ?? "";
      sealLike(check, secrets);
      const [newestKeyId] = secrets.keyIds;
      secrets.sealWith(newestKeyId);
      if (!secrets.isCurrent(check))
        await trx
          .updateTable("clock")
          .set({ key_check: checkOf(secrets) })
          .execute();
    });
  }

  /** @throws StoreDivergedError if it is not what is known, nor goes on from it. */
  #checkClock<Clock extends Omit<ClockView, "auditId">>(
    clock: Clock | undefined,
    known: StorePoint,
  ): Clock {
    if (!clock) throw new StoreDivergedError("the store has lost its clock");
    const isSame = this.#epoch === undefined || this.#epoch === clock.epoch;
    const isBehind =
      clock.revision < known.revision ||
      (clock.revision === known.revision && clock.stamp !== known.stamp);
    if (isSame && !isBehind) return clock;
    throw otherHistory(clock, known, isSame ? "" : " of another registry");
  }
}

/** @throws StoreDivergedError if they do not follow what is known, and each other. */
function commitsOf(
  rows: readonly StoredFeed[],
  known: StorePoint,
  secrets: Secrets,
): readonly Commit[] {
  let { revision, stamp } = known;
  return rows.map((row) => {
    if (row.rev !== revision + 1n || row.follows !== stamp) throw lostTrack(revision + 1n);
    ({ rev: revision, stamp } = row);
    return commitOfFeed(row, secrets);
  });
}

function otherHistory(newest: StorePoint, known: StorePoint, ofAnother = ""): StoreDivergedError {
  return new StoreDivergedError(
    `the store stands at revision ${newest.revision}${ofAnother}, not at ${known.revision}: someone else wrote to it, or a backup was restored`,
  );
}

function lostTrack(revision: bigint): StoreDivergedError {
  return new StoreDivergedError(
    `how the store came to revision ${revision} is not in it: it is compacted, or a backup was restored`,
  );
}

function holdingsIn(rows: readonly HoldingRow[]): Map<string, Holding> {
  return new Map(
    rows.map((row) => [
      row.id,
      {
        leaseId: row.lease_id,
        nodeId: row.node_id ?? undefined,
        lapsesAt: row.lapses_at ?? row.lease_expires_at,
        leaseExpiresAt: row.lease_expires_at,
        lastSeenAt: row.last_seen_at,
      },
    ]),
  );
}

/** Several reads that see the same state. SQLite's do so in any transaction. */
function asOfOneMoment<T>(
  db: Kysely<Schema>,
  isShared: boolean,
  read: (trx: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  const transaction = db.transaction();
  return (isShared ? transaction.setIsolationLevel("repeatable read") : transaction).execute(read);
}

/** A lease that ended, or that another took the place of, keeps what its commit wrote. */
function presenceStatement(db: Kysely<Schema>, rows: readonly PresenceRow[]): CompiledQuery {
  const values = sql.join(rows.map((row) => sql`(${sql.join(Object.values(row))})`));
  return sql`
    with presence (id, lease_id, last_seen_at, lease_expires_at, lease_credited, verified_at) as (values ${values})
    update services set
      last_seen_at = presence.last_seen_at,
      lease_expires_at = presence.lease_expires_at,
      lease_credited = presence.lease_credited,
      verified_at = presence.verified_at
    from presence
    where services.id = presence.id
      and services.lease_active = 1
      and services.lease_id = presence.lease_id`.compile(db);
}

function tokenUseStatement(db: Kysely<Schema>, rows: readonly TokenUse[]): CompiledQuery {
  const values = sql.join(
    rows.map(
      ({ tokenId, usedAt }) => sql`(cast(${tokenId} as text), cast(${usedAt} as double precision))`,
    ),
  );
  return sql`
    with token_use (id, used_at) as (values ${values})
    update tokens set last_used_at = token_use.used_at
    from token_use
    where tokens.id = token_use.id
      and (tokens.last_used_at is null or tokens.last_used_at < token_use.used_at)`.compile(db);
}
