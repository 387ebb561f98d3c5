import { Kysely, sql, type Transaction } from "kysely";
import type { CommitSummary } from "../core/change.js";
import { DEFAULT_LEASE_POLICY, grantFor } from "../core/lease.js";
import { isGone, type ServiceRecord } from "../core/service.js";
import type { Clock } from "../lib/clock.js";
import type { Secrets } from "../lib/sealing.js";
import { BulkStatement } from "./bulk-statement.js";
import { type AuditSource, auditLength, checkAudit, copyAudit } from "./copy-audit.js";
import { type CheckedTable, checkCopy } from "./copy-check.js";
import { migrateIn } from "./migrations.js";
import { createDueIndex } from "./node-queries.js";
import { postgresDialect, UnknownOutcomeError } from "./postgres-dialect.js";
import { toOpenError } from "./postgres-errors.js";
import { PostgresPool } from "./postgres-pool.js";
import { databaseName } from "./postgres-url.js";
import { changeLogRows, downloadClientRow, serviceRow, tokenRow } from "./records.js";
import type { ChangeLogRow, Schema } from "./schema.js";
import { lockSchema } from "./schema-lock.js";
import { checkOf } from "./secret-key.js";
import { type StoredRegistry, StoreOpenError } from "./store.js";

const APPLICATION_NAME = "pulse migrate";
/** More than one waits for another that makes tables. */
const DEADLINE_MS = 90_000;
/** A copy that says nothing for so long is ended by the server, and leaves nothing behind. */
const IDLE_LIMIT = "60s";
/** Rows between two words on how far it is. */
const SLICE = 1_024;

export interface CopyOptions {
  /** All of the registry that is copied. */
  readonly stored: StoredRegistry;
  /** Its audit log, which may be too long to be held at once. */
  readonly audit: AuditSource;
  /** What opens its secrets. The copy is sealed with the same key. */
  readonly secrets: Secrets;
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  readonly clock: Clock;
  /** Told how many rows are written, and of how many. */
  readonly onProgress?: (written: number, total: number) => void;
}

/** `copied`: just now · `found`: it had been copied before · `found-in-use`: and nodes have used it since. */
export type CopyResult =
  | { readonly kind: "copied" | "found"; readonly tables: readonly CheckedTable[] }
  | { readonly kind: "found-in-use"; readonly revision: bigint };

/**
 * Copies a registry into an empty PostgreSQL database and compares every row, all
 * in one transaction: whatever interrupts it, the database is empty or has the
 * whole copy, and no node can start on less. Epoch, revisions, stamps, tokens and
 * registry time stay. Instances that were alive get a whole TTL and the reconnect
 * grace from then on, as after a restart.
 * @throws StoreOpenError with one sentence that says what to do.
 */
export async function copyToPostgres(options: CopyOptions): Promise<CopyResult> {
  const { url, clock } = options;
  const name = databaseName(url);
  const pool = new PostgresPool({
    url,
    applicationName: APPLICATION_NAME,
    max: 1,
    deadlineMs: DEADLINE_MS,
    clock,
  });
  const db = new Kysely<Schema>({ dialect: postgresDialect(pool) });
  try {
    return await db.transaction().execute((trx) => copyIn(trx, name, options));
  } catch (error) {
    if (error instanceof UnknownOutcomeError)
      throw new StoreOpenError(
        `${name} did not say whether it has the copy: run this again, and it will tell`,
        { cause: error },
      );
    throw toOpenError(error, name);
  } finally {
    await db.destroy();
  }
}

async function copyIn(
  trx: Transaction<Schema>,
  name: string,
  options: CopyOptions,
): Promise<CopyResult> {
  const { stored, secrets } = options;
  await sql`set local idle_in_transaction_session_timeout = ${sql.lit(IDLE_LIMIT)}`.execute(trx);
  await lockSchema(trx);
  await refuseOthersTables(trx, name);
  await migrateIn(trx);
  await createDueIndex(trx);
  const services = withTimeToReturn(stored);
  const found = await findCopy(trx, name, stored);
  if (found?.kind === "found-in-use") return found;
  if (!found) await writeAll(trx, { ...options, stored: { ...stored, services } });
  const tables = [
    ...(await checkCopy(trx, { ...stored, services }, secrets)),
    await checkAudit(trx, options.audit),
  ];
  const different = tables.filter(
    ({ source, target, equal }) => source !== target || equal < source,
  );
  if (different.length > 0)
    throw new StoreOpenError(
      `${name} does not have what was to be copied (${different.map(describe).join("; ")}): give an empty database`,
    );
  return { kind: found ? "found" : "copied", tables };
}

function describe({ name, source, target, equal }: CheckedTable): string {
  return `${name}: ${source} rows here, ${target} there, ${equal} of them alike`;
}

/** Nobody holds an instance on the copy until it has found a node. */
function withTimeToReturn({ registryTimeMs, services }: StoredRegistry): readonly ServiceRecord[] {
  const leases = services.filter(({ leaseActive }) => leaseActive).length;
  return services.map((service) => {
    if (!service.leaseActive || isGone(service)) return service;
    const { ttlMs } = grantFor(service.ttlMs, leases, DEFAULT_LEASE_POLICY);
    const returnsBy = registryTimeMs + ttlMs + DEFAULT_LEASE_POLICY.reconnectGraceMs;
    return { ...service, leaseExpiresAt: Math.max(service.leaseExpiresAt, returnsBy) };
  });
}

async function refuseOthersTables(trx: Transaction<Schema>, name: string): Promise<void> {
  const { rows } = await sql<{ tablename: string }>`
    select tablename from pg_tables where schemaname = current_schema()`.execute(trx);
  const present = new Set(rows.map(({ tablename }) => tablename));
  const taken = OWN_TABLES.find((table) => present.has(table));
  if (taken !== undefined && !present.has("schema_version"))
    throw new StoreOpenError(
      `${name} has a table ${taken} of another program: give a database of Pulse's own`,
    );
}

const OWN_TABLES = [
  "clock",
  "registry_time",
  "services",
  "download_clients",
  "tokens",
  "change_log",
  "audit",
  "feed",
  "nodes",
] as const;

/** What is in the database already; undefined: nothing. */
async function findCopy(
  trx: Transaction<Schema>,
  name: string,
  stored: StoredRegistry,
): Promise<{ kind: "found" } | Extract<CopyResult, { kind: "found-in-use" }> | undefined> {
  const clock = await trx.selectFrom("clock").selectAll().executeTakeFirst();
  if (!clock) return undefined;
  const { epoch, rev: revision } = clock;
  if (epoch !== stored.epoch)
    throw new StoreOpenError(
      `${name} has a registry of its own, at revision ${revision}: give an empty database`,
    );
  const time = await trx.selectFrom("registry_time").select("ms").executeTakeFirst();
  if (revision === stored.revision && clock.stamp === stored.stamp)
    return time?.ms === stored.registryTimeMs
      ? { kind: "found" }
      : { kind: "found-in-use", revision };
  const common = await trx
    .selectFrom("change_log")
    .select("stamp")
    .where("rev", "=", stored.revision)
    .executeTakeFirst();
  if (common?.stamp === stored.stamp) return { kind: "found-in-use", revision };
  throw new StoreOpenError(
    clock.min_rev >= stored.revision
      ? `${name} has this registry at revision ${revision}, and no longer knows what it was at ${stored.revision}, where the source stands: start nodes on it if it was copied there, or give an empty database`
      : `${name} has this registry at revision ${revision}, but the source has gone on in another way, to ${stored.revision}: start nodes on one of the two, or give an empty database to copy the source again`,
  );
}

async function writeAll(
  trx: Transaction<Schema>,
  { stored, audit, secrets, onProgress }: CopyOptions,
): Promise<void> {
  const { services, entries, tokens, history } = stored;
  const ofAudit = await auditLength(audit);
  const total = services.length + entries.length + tokens.length + history.length + ofAudit;
  let written = 0;

  async function write<Item, Row extends object>(
    items: readonly Item[],
    rowsOf: (item: Item) => readonly Row[],
    compile: ConstructorParameters<typeof BulkStatement<Row>>[0],
  ): Promise<void> {
    const statement = new BulkStatement(compile);
    for (let from = 0; from < items.length; from += SLICE) {
      const slice = items.slice(from, from + SLICE);
      await statement.run(trx, slice.flatMap(rowsOf));
      written += slice.length;
      onProgress?.(written, total);
    }
  }

  // Services before the entries that refer to them.
  await write(
    services,
    (service) => [serviceRow(service, secrets)],
    (rows) => trx.insertInto("services").values(rows).compile(),
  );
  await write(
    entries,
    (entry) => [downloadClientRow(entry, secrets)],
    (rows) => trx.insertInto("download_clients").values(rows).compile(),
  );
  await write(
    tokens,
    (token) => [{ ...tokenRow(token), last_used_at: token.lastUsedAt ?? null }],
    (rows) => trx.insertInto("tokens").values(rows).compile(),
  );
  await write(history, logRows, (rows) => trx.insertInto("change_log").values(rows).compile());
  const auditId = await copyAudit(trx, audit, (count) => {
    written += count;
    onProgress?.(written, total);
  });
  await trx.updateTable("registry_time").set({ ms: stored.registryTimeMs }).execute();
  await trx
    .insertInto("clock")
    .values({
      one: 1,
      epoch: stored.epoch,
      rev: stored.revision,
      stamp: stored.stamp,
      min_rev: history[0] ? history[0].revision - 1n : stored.revision,
      audit_id: auditId,
      key_check: checkOf(secrets),
    })
    .execute();
}

/** What a history keeps of a commit is all that the log keeps. */
function logRows(summary: CommitSummary): ChangeLogRow[] {
  return changeLogRows({ ...summary, services: [], entries: [], removedEntryIds: [], tokens: [] });
}
