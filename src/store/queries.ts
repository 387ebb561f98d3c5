import { type CompiledQuery, type Kysely, type RawBuilder, sql } from "kysely";
import type { Commit } from "../core/change.js";
import type { Secrets } from "../lib/sealing.js";
import { BulkStatement } from "./bulk-statement.js";
import {
  changeLogRows,
  commitSummaries,
  downloadClientRow,
  entryRecord,
  serviceRecord,
  serviceRow,
  tokenRecord,
  tokenRow,
} from "./records.js";
import type { ChangeLogRow, DownloadClientRow, Schema, ServiceRow, TokenRow } from "./schema.js";
import { type PresenceFlush, StoreDivergedError, type StoredRegistry } from "./store.js";

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

/** All that a registry asks of its database, in terms that both engines understand. */
export class Queries {
  readonly #db: Kysely<Schema>;
  readonly #secrets: Secrets;
  readonly #advance: CompiledQuery;
  readonly #log: BulkStatement<ChangeLogRow>;
  readonly #services: BulkStatement<ServiceRow>;
  readonly #downloadClients: BulkStatement<DownloadClientRow>;
  readonly #removals: BulkStatement<Pick<DownloadClientRow, "id">>;
  readonly #tokens: BulkStatement<TokenRow>;
  readonly #presences: BulkStatement<PresenceRow>;

  /** @param db a store that has the newest schema and its clock */
  constructor(db: Kysely<Schema>, secrets: Secrets) {
    this.#db = db;
    this.#secrets = secrets;
    this.#advance = db
      .updateTable("clock")
      .set({ rev: 0, stamp: "" })
      .where("rev", "=", 0n)
      .compile();
    this.#log = new BulkStatement((rows) => db.insertInto("change_log").values(rows).compile());
    this.#services = new BulkStatement((rows) =>
      db
        .insertInto("services")
        .values(rows)
        .onConflict((conflict) => conflict.column("id").doUpdateSet(excluded(rows)))
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

  /** @throws UnsealError if credentials do not open. */
  async load(maxHistory = Number.MAX_SAFE_INTEGER): Promise<StoredRegistry> {
    return this.#db.transaction().execute(async (trx) => {
      const clock = await trx.selectFrom("clock").selectAll().executeTakeFirstOrThrow();
      const services = await trx.selectFrom("services").selectAll().execute();
      const downloadClients = await trx.selectFrom("download_clients").selectAll().execute();
      const tokens = await trx.selectFrom("tokens").selectAll().execute();
      const changes = await trx
        .selectFrom("change_log")
        .selectAll()
        .where("rev", ">", clock.rev - BigInt(maxHistory))
        .where("rev", ">", clock.min_rev)
        .orderBy("rev")
        .orderBy("position")
        .execute();
      return {
        epoch: clock.epoch,
        revision: clock.rev,
        stamp: clock.stamp,
        registryTimeMs: clock.registry_time_ms,
        services: services.map((row) => serviceRecord(row, this.#secrets)),
        entries: downloadClients.map((row) => entryRecord(row, this.#secrets)),
        tokens: tokens.map(tokenRecord),
        history: commitSummaries(changes),
      };
    });
  }

  /** @throws StoreDivergedError if the clock does not stand at `previous`. */
  async commit(commits: readonly Commit[], previous: bigint): Promise<void> {
    const last = commits.at(-1);
    if (!last) return;
    if (last.revision !== previous + BigInt(commits.length))
      throw new RangeError(`revision ${last.revision} would leave a gap after ${previous}`);
    // Rows are made before the transaction begins: it holds up others.
    const services = newest(commits.flatMap((commit) => commit.services)).map((record) =>
      serviceRow(record, this.#secrets),
    );
    const removed = new Set(commits.flatMap((commit) => commit.removedEntryIds));
    const entries = newest(commits.flatMap((commit) => commit.entries))
      .filter(({ id }) => !removed.has(id)) // an id never comes back
      .map((record) => downloadClientRow(record, this.#secrets));
    const tokens = newest(commits.flatMap((commit) => commit.tokens)).map(tokenRow);
    const changes = commits.flatMap(changeLogRows);
    await this.#db.transaction().execute(async (trx) => {
      // First, so that writers form a line at this row and revision order is commit order.
      const parameters = [last.revision, last.stamp, previous];
      const { numAffectedRows } = await trx.executeQuery({ ...this.#advance, parameters });
      if (numAffectedRows !== 1n) throw await this.#diverged(trx, previous);
      await this.#services.run(trx, services); // before the entries that refer to them
      await this.#downloadClients.run(trx, entries);
      await this.#removals.run(
        trx,
        [...removed].map((id) => ({ id })),
      );
      await this.#tokens.run(trx, tokens);
      await this.#log.run(trx, changes);
    });
  }

  async flush({ registryTimeMs, presences }: PresenceFlush): Promise<void> {
    const rows = presences.map((presence) => ({
      id: presence.serviceId,
      leaseId: presence.leaseId,
      lastSeenAt: presence.lastSeenAt,
      leaseExpiresAt: presence.leaseExpiresAt,
      leaseCredited: Number(presence.leaseCredited),
    }));
    await this.#db.transaction().execute(async (trx) => {
      await trx.updateTable("clock").set({ registry_time_ms: registryTimeMs }).execute();
      for (let from = 0; from < rows.length; from += FLUSH_SLICE) {
        if (from > 0) await new Promise(setImmediate); // heartbeats do not wait for all of it
        await this.#presences.run(trx, rows.slice(from, from + FLUSH_SLICE));
      }
    });
  }

  /** In slices, each a transaction of its own that begins by saying what it takes. */
  async compact(revision: bigint): Promise<void> {
    for (;;) {
      const oldest = await this.#db
        .selectFrom("change_log")
        .select("rev")
        .where("rev", "<=", revision)
        .orderBy("rev")
        .limit(1)
        .executeTakeFirst();
      if (!oldest) return;
      const sliceEnd = oldest.rev + COMPACTION_SLICE - 1n;
      const upTo = sliceEnd < revision ? sliceEnd : revision;
      await this.#db.transaction().execute(async (trx) => {
        await trx.updateTable("clock").set({ min_rev: upTo }).execute();
        await trx.deleteFrom("change_log").where("rev", "<=", upTo).execute();
      });
      await new Promise(setImmediate); // commits and heartbeats do not wait for all of it
    }
  }

  async #diverged(db: Kysely<Schema>, previous: bigint): Promise<StoreDivergedError> {
    const { rev } = await db.selectFrom("clock").select("rev").executeTakeFirstOrThrow();
    return new StoreDivergedError(
      `the store stands at revision ${rev}, not at ${previous}: someone else wrote to it`,
    );
  }
}

/** The last version of each record, since one statement may touch a row only once. */
function newest<Item extends { readonly id: string }>(records: readonly Item[]): Item[] {
  return [...new Map(records.map((record) => [record.id, record])).values()];
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
