import { type CompiledQuery, type Kysely, type RawBuilder, sql, type Transaction } from "kysely";
import type { Commit } from "../core/change.js";
import type { Holding } from "../core/service.js";
import type { Secrets } from "../lib/sealing.js";
import { BulkStatement } from "./bulk-statement.js";
import {
  changeLogRows,
  commitOfFeed,
  commitRows,
  commitSummaries,
  entryRecord,
  feedRow,
  serviceRecord,
  tokenRecord,
} from "./records.js";
import type {
  ChangeLogRow,
  DownloadClientRow,
  FeedRow,
  Schema,
  ServiceRow,
  StoredFeed,
  TokenRow,
} from "./schema.js";
import {
  type CommitRequest,
  type PresenceFlush,
  type Since,
  StoreDivergedError,
  type StoredRegistry,
  type StorePoint,
} from "./store.js";

/** The row of a presence, in the order in which the statement names its columns. */
interface PresenceRow {
  readonly id: string;
  readonly leaseId: string;
  readonly lastSeenAt: number;
  readonly leaseExpiresAt: number;
  readonly leaseCredited: number;
}

/** Presences that are written in one turn of the event loop: some 5 ms. */
const FLUSH_SLICE = 1_024;
/** Revisions that one transaction of a compaction deletes: some 5 ms. */
const COMPACTION_SLICE = 1_000n;
/** Commits that are read at a time. */
const FEED_PAGE = 500;
/** NOTIFY tells nodes on it that somebody commits. */
export const COMMITS_CHANNEL = "pulse_commits";

export interface QueriesOptions {
  /** A store that has the newest schema and its clock. */
  readonly db: Kysely<Schema>;
  readonly secrets: Secrets;
  /** Several nodes write to it: they take turns at the clock's row, and tell each other what they wrote. */
  readonly isShared: boolean;
}

/** What there is to know of a history before one goes on with it. */
interface ClockView extends StorePoint {
  readonly epoch: string;
}

/** All that a registry asks of its database, in terms that both engines understand. */
export class Queries {
  readonly #options: QueriesOptions;
  readonly #clock: CompiledQuery<ClockView>;
  readonly #advance: CompiledQuery;
  readonly #log: BulkStatement<ChangeLogRow>;
  readonly #feed: BulkStatement<FeedRow>;
  readonly #services: BulkStatement<ServiceRow>;
  readonly #downloadClients: BulkStatement<DownloadClientRow>;
  readonly #removals: BulkStatement<Pick<DownloadClientRow, "id">>;
  readonly #tokens: BulkStatement<TokenRow>;
  readonly #presences: BulkStatement<PresenceRow>;
  /** Of the history that this process goes on with, once it has loaded it. */
  #epoch: string | undefined;

  constructor(options: QueriesOptions) {
    const { db, isShared } = options;
    this.#options = options;
    const clock = db.selectFrom("clock").select(["epoch", "rev as revision", "stamp"]);
    this.#clock = (isShared ? clock.forUpdate() : clock).compile();
    this.#advance = (
      isShared
        ? sql`update clock set rev = ${0n}, stamp = ${""} returning pg_notify(${sql.lit(COMMITS_CHANNEL)}, '')`
        : sql`update clock set rev = ${0n}, stamp = ${""}`
    ).compile(db);
    this.#log = new BulkStatement((rows) => db.insertInto("change_log").values(rows).compile());
    this.#feed = new BulkStatement((rows) => db.insertInto("feed").values(rows).compile());
    this.#services = new BulkStatement((rows) =>
      db
        .insertInto("services")
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .column("id")
            .doUpdateSet({ ...excluded(rows), ...(isShared ? HELD_WITH_ITS_LEASE : {}) }),
        )
        .compile(),
    );
    this.#downloadClients = new BulkStatement((rows) =>
      db
        .insertInto("download_clients")
        .values(rows)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(excluded(rows)))
        .compile(),
    );
    this.#removals = new BulkStatement((rows) =>
      db
        .deleteFrom("download_clients")
        .where(
          "id",
          "in",
          rows.map(({ id }) => id),
        )
        .compile(),
    );
    this.#tokens = new BulkStatement((rows) =>
      db
        .insertInto("tokens")
        .values(rows)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(excluded(rows)))
        .compile(),
    );
    this.#presences = new BulkStatement((rows) => presenceStatement(db, rows));
  }

  /** From now on, another epoch means that this is another registry. */
  goOnWith(epoch: string): void {
    this.#epoch = epoch;
  }

  /** @throws UnsealError if credentials do not open. */
  async load(maxHistory?: number): Promise<StoredRegistry> {
    const { db, secrets } = this.#options;
    const stored = await asOfOneMoment(db, this.#options.isShared, async (trx) => {
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
      return {
        epoch: clock.epoch,
        revision: clock.rev,
        stamp: clock.stamp,
        registryTimeMs: time.ms,
        services: services.map((row) => serviceRecord(row, secrets)),
        entries: downloadClients.map((row) => entryRecord(row, secrets)),
        tokens: tokens.map(tokenRecord),
        history: commitSummaries(changes),
      };
    });
    this.goOnWith(stored.epoch);
    return stored;
  }

  /** @throws StoreDivergedError if the history does not go on from what is known. */
  async commit({ known, holdingsOf, decide }: CommitRequest): Promise<void> {
    const { db, secrets, isShared } = this.#options;
    await db.transaction().execute(async (trx) => {
      // First, so that writers form a line at this row and revision order is commit order.
      const newest = await this.#readClock(trx, known);
      const missed =
        newest.revision > known.revision ? await this.#missed(trx, known, newest) : NOTHING_MISSED;
      const holdings =
        isShared && holdingsOf.length > 0 ? await readHoldings(trx, holdingsOf) : new Map();
      const commits = decide({ missed, holdings });
      const last = commits.at(-1);
      if (!last) return;
      if (last.revision !== newest.revision + BigInt(commits.length))
        throw new RangeError(
          `revision ${last.revision} would leave a gap after ${newest.revision}`,
        );
      const written = commits.map((commit) => commitRows(commit, secrets));
      const removed = new Set(written.flatMap((rows) => rows.removedEntryIds));
      const entries = newestOf(written.flatMap((rows) => rows.entries));
      // Services before the entries that refer to them.
      await this.#services.run(trx, newestOf(written.flatMap((rows) => rows.services)));
      await this.#downloadClients.run(
        trx,
        entries.filter(({ id }) => !removed.has(id)), // an id never comes back
      );
      await this.#removals.run(
        trx,
        [...removed].map((id) => ({ id })),
      );
      await this.#tokens.run(trx, newestOf(written.flatMap((rows) => rows.tokens)));
      await this.#log.run(trx, commits.flatMap(changeLogRows));
      if (isShared) await this.#feed.run(trx, feedRows(commits, newest.stamp, written));
      await trx.executeQuery({ ...this.#advance, parameters: [last.revision, last.stamp] });
    });
  }

  /** What was committed after `known`, at most some hundred. @throws StoreDivergedError */
  async since(known: StorePoint): Promise<Since> {
    const { db, secrets } = this.#options;
    // The clock comes along, to tell "nothing new" from "another history".
    const rows = await db
      .selectFrom("clock")
      .leftJoin("feed", (join) => join.on("feed.rev", ">", known.revision))
      .select(["clock.epoch", "clock.rev as revision", "clock.stamp as newest_stamp"])
      .select(["feed.rev", "feed.stamp", "feed.follows", "feed.body"])
      .orderBy("feed.rev")
      .limit(FEED_PAGE)
      .execute();
    const [first] = rows;
    if (!first) throw new StoreDivergedError("the store has lost its clock");
    const { epoch, revision, newest_stamp: stamp } = first;
    this.#checkClock({ epoch, revision, stamp }, known);
    if (revision === known.revision) return { commits: NOTHING_MISSED, revision };
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
    }));
    await db.transaction().execute(async (trx) => {
      await trx.updateTable("registry_time").set({ ms: registryTimeMs }).execute();
      for (let from = 0; from < rows.length; from += FLUSH_SLICE) {
        if (from > 0) await new Promise(setImmediate); // heartbeats do not wait for all of it
        await this.#presences.run(trx, rows.slice(from, from + FLUSH_SLICE));
      }
    });
  }

  /** In slices, each a transaction of its own that begins by saying what it takes. */
  async compact(revision: bigint): Promise<void> {
    const { db } = this.#options;
    for (;;) {
      const oldest = await db
        .selectFrom("change_log")
        .select("rev")
        .where("rev", "<=", revision)
        .orderBy("rev")
        .limit(1)
        .executeTakeFirst();
      if (!oldest) return;
      const sliceEnd = oldest.rev + COMPACTION_SLICE - 1n;
      const upTo = sliceEnd < revision ? sliceEnd : revision;
      await db.transaction().execute(async (trx) => {
        // Another node may have gone further.
        await trx.updateTable("clock").set({ min_rev: upTo }).where("min_rev", "<", upTo).execute();
        await trx.deleteFrom("change_log").where("rev", "<=", upTo).execute();
        await trx.deleteFrom("feed").where("rev", "<=", upTo).execute();
      });
      await new Promise(setImmediate); // commits and heartbeats do not wait for all of it
    }
  }

  async #readClock(trx: Transaction<Schema>, known: StorePoint): Promise<StorePoint> {
    const { rows } = await trx.executeQuery(this.#clock);
    const [clock] = rows;
    if (!clock) throw new StoreDivergedError("the store has lost its clock");
    this.#checkClock(clock, known);
    return clock;
  }

  #checkClock(clock: ClockView, known: StorePoint): void {
    const isSame = this.#epoch === undefined || this.#epoch === clock.epoch;
    const isBehind =
      clock.revision < known.revision ||
      (clock.revision === known.revision && clock.stamp !== known.stamp);
    if (isSame && !isBehind) return;
    throw new StoreDivergedError(
      `the store stands at revision ${clock.revision}${isSame ? "" : " of another registry"}, not at ${known.revision}: someone else wrote to it, or a backup was restored`,
    );
  }

  /** All that was committed between two points, as one reads it who holds the clock. */
  async #missed(
    trx: Transaction<Schema>,
    known: StorePoint,
    newest: StorePoint,
  ): Promise<readonly Commit[]> {
    if (!this.#options.isShared)
      throw new StoreDivergedError(
        `the store stands at revision ${newest.revision}, not at ${known.revision}: someone else wrote to it`,
      );
    const rows = await trx
      .selectFrom("feed")
      .selectAll()
      .where("rev", ">", known.revision)
      .orderBy("rev")
      .execute();
    return commitsOf(rows, known, this.#options.secrets);
  }
}

const NOTHING_MISSED: readonly Commit[] = [];

/** A new lease is nobody's until a node says that it has its stream. */
const HELD_WITH_ITS_LEASE = {
  node_id: sql<
    string | null
  >`case when services.lease_id = excluded.lease_id then services.node_id end`,
  lapses_at: sql<
    number | null
  >`case when services.lease_id = excluded.lease_id then services.lapses_at end`,
};

/** @throws StoreDivergedError if they do not follow what is known, and each other. */
function commitsOf(
  rows: readonly StoredFeed[],
  known: StorePoint,
  secrets: Secrets,
): readonly Commit[] {
  let { revision, stamp } = known;
  return rows.map((row) => {
    if (row.rev !== revision + 1n || row.follows !== stamp)
      throw new StoreDivergedError(
        `what followed revision ${revision} is no longer in the store: it is compacted, or a backup was restored`,
      );
    ({ rev: revision, stamp } = row);
    return commitOfFeed(row, secrets);
  });
}

function feedRows(
  commits: readonly Commit[],
  newestStamp: string,
  written: readonly ReturnType<typeof commitRows>[],
): FeedRow[] {
  return commits.map((commit, i) =>
    feedRow(commit, commits[i - 1]?.stamp ?? newestStamp, written[i] as (typeof written)[number]),
  );
}

async function readHoldings(
  trx: Transaction<Schema>,
  serviceIds: readonly string[],
): Promise<Map<string, Holding>> {
  const rows = await trx
    .selectFrom("services")
    .select(["id", "lease_id", "node_id", "lapses_at", "lease_expires_at", "last_seen_at"])
    .where("id", "in", serviceIds)
    .execute();
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

/** The last version of each row, since one statement may touch it only once. */
function newestOf<Row extends { readonly id: string }>(rows: readonly Row[]): Row[] {
  return [...new Map(rows.map((row) => [row.id, row])).values()];
}

/**
 * Takes every column from the row that could not be inserted, but the key: to
 * write that makes SQLite look through all rows that refer to it.
 */
function excluded<Row extends { readonly id: string }>(
  rows: readonly Row[],
): Record<Exclude<keyof Row, "id">, RawBuilder<never>> {
  const columns = Object.keys(rows[0] ?? {}).filter((name) => name !== "id");
  return Object.fromEntries(columns.map((name) => [name, sql.ref(`excluded.${name}`)])) as Record<
    Exclude<keyof Row, "id">,
    RawBuilder<never>
  >;
}

/** A lease that ended, or that another took the place of, keeps what its commit wrote. */
function presenceStatement(db: Kysely<Schema>, rows: readonly PresenceRow[]): CompiledQuery {
  const values = sql.join(rows.map((row) => sql`(${sql.join(Object.values(row))})`));
  return sql`
    with presence (id, lease_id, last_seen_at, lease_expires_at, lease_credited) as (values ${values})
    update services set
      last_seen_at = presence.last_seen_at,
      lease_expires_at = presence.lease_expires_at,
      lease_credited = presence.lease_credited
    from presence
    where services.id = presence.id
      and services.lease_active = 1
      and services.lease_id = presence.lease_id`.compile(db);
}
