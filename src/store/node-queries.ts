import { type CompiledQuery, type Kysely, sql, type Transaction } from "kysely";
import { BulkStatement } from "./bulk-statement.js";
import { commitTogether } from "./pipeline.js";
import type { Schema } from "./schema.js";
import type { Allowance, DueLease, HoldingChanges, NodeInfo, Renewal } from "./store.js";

/** A step of registry time, in ms: in a longer one no node was alive, or the database was away. */
const MAX_STEP_MS = 3_000;
/** What counts of such a longer one: what a node lives between two renewals. */
const LONG_STEP_MS = 1_000;
/** A node is taken for dead if its row was not renewed for so long, in registry time. */
export const NODE_TTL_MS = 5_000;
/** Instances that one sweep lets lapse. */
const MAX_DUE = 500;

interface ClaimRow {
  readonly id: string;
  readonly leaseId: string;
}

interface ReleaseRow extends ClaimRow {
  readonly lapsesAt: number;
  readonly leaseExpiresAt: number;
  readonly lastSeenAt: number;
}

/** What nodes that share a PostgreSQL write and read of each other. */
export class NodeQueries {
  readonly #db: Kysely<Schema>;
  readonly #lock: CompiledQuery;
  readonly #claims: BulkStatement<ClaimRow & { readonly nodeId: string }>;
  readonly #releases: BulkStatement<ReleaseRow & { readonly nodeId: string }>;

  /** @param db on PostgreSQL */
  constructor(db: Kysely<Schema>) {
    this.#db = db;
    this.#lock = db.selectFrom("clock").select("one").forUpdate().compile();
    this.#claims = new BulkStatement((rows) => claimStatement(db, rows));
    this.#releases = new BulkStatement((rows) => releaseStatement(db, rows));
  }

  async spare({ minTtlMs, graceMs }: Allowance): Promise<number> {
    return this.#locked(async (trx) => {
      const deadline = sql`time.ms + ${LONG_STEP_MS} + greatest(ttl_ms, ${minTtlMs}) + ${graceMs}`;
      const { numAffectedRows } = await sql`
        update services set
          lapses_at = ${deadline},
          lease_expires_at = ${deadline},
          lease_credited = 1
        from registry_time as time
        where ${DATABASE_NOW} - time.advanced_at > ${MAX_STEP_MS}
          and node_id is null and lease_active = 1 and ${IS_THERE} and lease_credited = 0
        `.execute(trx);
      return Number(numAffectedRows ?? 0n);
    });
  }

  /** Writes a row for a node. It counts as renewed now. */
  async join({ id, name }: NodeInfo): Promise<void> {
    await this.#db
      .insertInto("nodes")
      .columns(["id", "name", "renewed_at", "seen_at"])
      .expression((eb) =>
        eb
          .selectFrom("registry_time")
          .select([sql`${id}`.as("id"), sql`${name}`.as("name"), "ms", DATABASE_NOW.as("seen_at")]),
      )
      .execute();
  }

  /** Takes registry time on by the database's clock, and renews the node's row, if it is there. */
  async renew(nodeId: string): Promise<Renewal> {
    const { rows } = await sql<{ ms: number; renewed: bigint; dead: string | null }>`
      with advanced as (
        update registry_time set
          ms = ms + case
            when ${DATABASE_NOW} - advanced_at > ${MAX_STEP_MS} then ${LONG_STEP_MS}
            else greatest(${DATABASE_NOW} - advanced_at, 0)
          end,
          advanced_at = ${DATABASE_NOW}
        returning ms, advanced_at
      ), renewed as (
        update nodes set renewed_at = advanced.ms, seen_at = advanced.advanced_at
        from advanced where nodes.id = ${nodeId}
        returning nodes.id
      )
      select
        advanced.ms,
        (select count(*) from renewed) as renewed,
        (select json_agg(json_build_object('id', nodes.id, 'name', nodes.name))::text from nodes
          where nodes.id <> ${nodeId} and nodes.renewed_at < advanced.ms - ${NODE_TTL_MS}) as dead
      from advanced`.execute(this.#db);
    const [row] = rows;
    if (!row) throw new Error("the store has lost its registry time");
    return {
      registryTimeMs: row.ms,
      isMember: row.renewed === 1n,
      dead: JSON.parse(row.dead ?? "[]") as readonly NodeInfo[],
    };
  }

  async writeReport(nodeId: string, report: string): Promise<void> {
    await this.#db.updateTable("nodes").set({ report }).where("id", "=", nodeId).execute();
  }

  /** Of the other nodes. */
  async readReports(nodeId: string): Promise<readonly string[]> {
    const rows = await this.#db
      .selectFrom("nodes")
      .select("report")
      .where("id", "<>", nodeId)
      .where("report", "is not", null)
      .execute();
    return rows.flatMap(({ report }) => report ?? []);
  }

  async bury(
    nodeId: string,
    { minTtlMs, graceMs }: Allowance,
    onlyIfDead: boolean,
  ): Promise<number | undefined> {
    return this.#locked(async (trx) => {
      const deletion = trx.deleteFrom("nodes").where("id", "=", nodeId);
      const deadline = trx
        .selectFrom("registry_time")
        .select(sql<number>`ms - ${NODE_TTL_MS}`.as("deadline"));
      const buried = await (onlyIfDead ? deletion.where("renewed_at", "<", deadline) : deletion)
        .returning("seen_at")
        .executeTakeFirst();
      if (!buried) return undefined;
      const { numAffectedRows } = await sql`
        update services set
          node_id = null,
          lapses_at = time.ms + greatest(ttl_ms, ${minTtlMs}) + ${graceMs},
          lease_expires_at = time.ms + greatest(ttl_ms, ${minTtlMs}) + ${graceMs},
          lease_credited = 1,
          last_seen_at = greatest(last_seen_at, ${buried.seen_at})
        from registry_time as time
        where node_id = ${nodeId} and lease_active = 1`.execute(trx);
      return Number(numAffectedRows ?? 0n);
    });
  }

  async hold(nodeId: string, { claims, releases }: HoldingChanges): Promise<void> {
    await commitTogether(this.#db, async () => [
      this.#lock,
      ...this.#releases.forRows(
        releases.map(({ serviceId: id, leaseId, lapsesAt, leaseExpiresAt, lastSeenAt }) => {
          return { id, leaseId, lapsesAt, leaseExpiresAt, lastSeenAt, nodeId };
        }),
      ),
      ...this.#claims.forRows(
        claims.map(({ serviceId: id, leaseId }) => ({ id, leaseId, nodeId })),
      ),
    ]);
  }

  async due(): Promise<readonly DueLease[]> {
    const rows = await this.#db
      .selectFrom("services")
      .select(["id", "lease_id", "lease_expires_at", "last_seen_at"])
      .select(LAPSES_AT.as("lapses_at"))
      .where("lease_active", "=", 1n)
      .where(IS_THERE)
      .where("node_id", "is", null)
      .where(LAPSES_AT, "<=", (eb) => eb.selectFrom("registry_time").select("ms"))
      .orderBy(LAPSES_AT)
      .limit(MAX_DUE)
      .execute();
    return rows.map((row) => ({
      serviceId: row.id,
      holding: {
        leaseId: row.lease_id,
        nodeId: undefined,
        lapsesAt: row.lapses_at,
        leaseExpiresAt: row.lease_expires_at,
        lastSeenAt: row.last_seen_at,
      },
    }));
  }

  /** In turn with those who commit: so holdings stand still while somebody decides by them. */
  #locked<T>(write: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
    return this.#db.transaction().execute(async (trx) => {
      await trx.executeQuery(this.#lock);
      return write(trx);
    });
  }
}

/** For `due`: it is asked several times a second by every node. */
export async function createDueIndex(db: Kysely<Schema>): Promise<void> {
  await sql`
    create index if not exists services_due on services (coalesce(lapses_at, lease_expires_at))
    where lease_active = 1 and node_id is null`.execute(db);
}

/** Wall-clock ms of the database: no clock of a node is trusted. */
export const DATABASE_NOW = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::double precision`;
/** As `isGone` of a record, the other way round. */
const IS_THERE = sql<boolean>`(status <> 'offline' or said_offline = 1)`;
const LAPSES_AT = sql<number>`coalesce(lapses_at, lease_expires_at)`;

/** A node that was buried claims nothing: nobody would set that free again. */
function claimStatement(
  db: Kysely<Schema>,
  rows: readonly (ClaimRow & { readonly nodeId: string })[],
): CompiledQuery {
  const values = sql.join(
    rows.map(({ id, leaseId, nodeId }) => sql`(${id}::text, ${leaseId}::text, ${nodeId}::text)`),
  );
  return sql`
    update services set node_id = claim.node_id, lapses_at = null, lease_credited = 0
    from (values ${values}) as claim (id, lease_id, node_id)
    where services.id = claim.id
      and services.lease_id = claim.lease_id
      and services.lease_active = 1
      and exists (select 1 from nodes where nodes.id = claim.node_id)`.compile(db);
}

/**
 * Also of what nobody holds: a stream that was open for a moment only was never
 * claimed. What another node gave up later than this one counts, then.
 */
function releaseStatement(
  db: Kysely<Schema>,
  rows: readonly (ReleaseRow & { readonly nodeId: string })[],
): CompiledQuery {
  const values = sql.join(
    rows.map(
      (row) => sql`(${row.id}::text, ${row.leaseId}::text, ${row.lapsesAt}::double precision,
        ${row.leaseExpiresAt}::double precision, ${row.lastSeenAt}::double precision, ${row.nodeId}::text)`,
    ),
  );
  return sql`
    update services set
      node_id = null,
      lapses_at = greatest(services.lapses_at, release.lapses_at),
      lease_expires_at = greatest(free.lease_expires_at, release.lease_expires_at),
      lease_credited = 0,
      last_seen_at = greatest(free.last_seen_at, release.last_seen_at)
    from (values ${values}) as release (id, lease_id, lapses_at, lease_expires_at, last_seen_at, node_id)
    left join services as free on free.id = release.id and free.node_id is null
    where services.id = release.id
      and services.lease_id = release.lease_id
      and (services.node_id = release.node_id or services.node_id is null)`.compile(db);
}
