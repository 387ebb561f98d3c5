import { type Kysely, SqliteAdapter, sql } from "kysely";
import type { Schema } from "./schema.js";
import { StoreOpenError } from "./store.js";

/** One step of the schema; it must not depend on the tables as they are today. */
export type Migration = (db: Kysely<Schema>) => Promise<void>;

/** Append only: a store remembers how many of them it has had. */
export const MIGRATIONS: readonly Migration[] = [
  createTables,
  addOperators,
  addNodes,
  addSafeguards,
  addVerification,
];

/**
 * Brings a store to the newest schema, all in one transaction.
 * @throws StoreOpenError if a newer program has been here.
 */
export async function migrate(db: Kysely<Schema>, migrations = MIGRATIONS): Promise<void> {
  await db.transaction().execute((trx) => migrateIn(trx, migrations));
}

/** The same in a transaction that runs already, and that keeps others from doing it at the same time. */
export async function migrateIn(trx: Kysely<Schema>, migrations = MIGRATIONS): Promise<void> {
  await trx.schema
    .createTable("schema_version")
    .ifNotExists()
    .addColumn("version", "integer", (column) => column.notNull())
    .execute();
  const row = await trx.selectFrom("schema_version").select("version").executeTakeFirst();
  const version = Number(row?.version ?? 0);
  if (version > migrations.length)
    throw new StoreOpenError(
      `the database was written by a newer Pulse (schema ${version}, this one knows ${migrations.length}): start that version, or restore a backup from before it`,
    );
  for (const migration of migrations.slice(version)) await migration(trx);
  const next = { version: migrations.length };
  if (row) await trx.updateTable("schema_version").set(next).execute();
  else await trx.insertInto("schema_version").values(next).execute();
}

async function createTables(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable("clock")
    .addColumn("one", "integer", (column) => column.primaryKey().check(sql`one = 1`))
    .addColumn("epoch", "text", (column) => column.notNull())
    .addColumn("rev", "bigint", (column) => column.notNull())
    .addColumn("stamp", "text", (column) => column.notNull())
    .addColumn("min_rev", "bigint", (column) => column.notNull())
    .addColumn("registry_time_ms", "double precision", (column) => column.notNull())
    .addColumn("key_check", "text", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("change_log")
    .addColumn("rev", "bigint", (column) => column.notNull())
    .addColumn("stamp", "text", (column) => column.notNull())
    .addColumn("at", "double precision", (column) => column.notNull())
    .addColumn("reason", "text", (column) => column.notNull())
    .addColumn("position", "integer", (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("subject_id", "text", (column) => column.notNull())
    .addColumn("type", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("change_log_key", ["rev", "position"])
    .execute();
  await db.schema
    .createTable("services")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("instance_id", "text", (column) => column.notNull())
    .addColumn("secret_hash", "text")
    .addColumn("spec", "text", (column) => column.notNull())
    .addColumn("credentials", "text")
    .addColumn("credential_state", "text", (column) => column.notNull())
    .addColumn("status", "text", (column) => column.notNull())
    .addColumn("status_reason", "text", (column) => column.notNull())
    .addColumn("generation", "bigint", (column) => column.notNull())
    .addColumn("lease_id", "text", (column) => column.notNull())
    .addColumn("lease_active", "integer", (column) => column.notNull())
    .addColumn("ttl_ms", "double precision", (column) => column.notNull())
    .addColumn("lease_credited", "integer", (column) => column.notNull())
    .addColumn("lease_expires_at", "double precision", (column) => column.notNull())
    .addColumn("last_seen_at", "double precision", (column) => column.notNull())
    .addColumn("created_at", "double precision", (column) => column.notNull())
    .addColumn("rev", "bigint", (column) => column.notNull())
    .addColumn("removed", "integer", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("download_clients")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("service_id", "text", (column) => column.notNull().references("services.id"))
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("enabled", "integer", (column) => column.notNull())
    .addColumn("priority", "double precision", (column) => column.notNull())
    .addColumn("category", "text", (column) => column.notNull())
    .addColumn("directory", "text", (column) => column.notNull())
    .addColumn("tags", "text", (column) => column.notNull())
    .addColumn("settings", "text", (column) => column.notNull())
    .addColumn("created_at", "double precision", (column) => column.notNull())
    .addColumn("updated_at", "double precision", (column) => column.notNull())
    .addColumn("rev", "bigint", (column) => column.notNull())
    .addColumn("removed", "integer", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("tokens")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("scopes", "text", (column) => column.notNull())
    .addColumn("hash", "text", (column) => column.notNull())
    .addColumn("created_at", "double precision", (column) => column.notNull())
    .addColumn("revoked_at", "double precision")
    .execute();
}

/** Entries made by hand, overrides and deletions; what changes came to. */
async function addOperators(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .alterTable("change_log")
    .addColumn("detail", "text", (column) => column.notNull().defaultTo(""))
    .execute();
  // SQLite cannot make a column optional: the table is made anew.
  await db.schema.alterTable("download_clients").renameTo("old_download_clients").execute();
  await db.schema
    .createTable("download_clients")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("source", "text", (column) => column.notNull())
    .addColumn("service_id", "text", (column) => column.references("services.id"))
    .addColumn("access", "text", (column) => column.notNull())
    .addColumn("credentials", "text")
    .addColumn("credential_state", "text", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("enabled", "integer", (column) => column.notNull())
    .addColumn("priority", "double precision", (column) => column.notNull())
    .addColumn("category", "text", (column) => column.notNull())
    .addColumn("directory", "text", (column) => column.notNull())
    .addColumn("tags", "text", (column) => column.notNull())
    .addColumn("settings", "text", (column) => column.notNull())
    .addColumn("created_at", "double precision", (column) => column.notNull())
    .addColumn("updated_at", "double precision", (column) => column.notNull())
    .addColumn("rev", "bigint", (column) => column.notNull())
    .addColumn("deleted_at", "double precision")
    .execute();
  await sql`
    insert into download_clients (
      id, source, service_id, access, credential_state, name, enabled, priority,
      category, directory, tags, settings, created_at, updated_at, rev)
    select
      id, 'auto', service_id, '{}', 'unverified', name, enabled, priority,
      category, directory, tags, settings, created_at, updated_at, rev
    from old_download_clients`.execute(db);
  await sql`drop table old_download_clients`.execute(db);
}

/** What nodes need that share a store; registry time apart from the clock, which writers lock. */
async function addNodes(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .createTable("registry_time")
    .addColumn("one", "integer", (column) => column.primaryKey().check(sql`one = 1`))
    .addColumn("ms", "double precision", (column) => column.notNull())
    .addColumn("advanced_at", "double precision", (column) => column.notNull())
    .execute();
  await sql`
    insert into registry_time (one, ms, advanced_at)
    select 1, coalesce(max(registry_time_ms), 0), 0 from clock`.execute(db);
  await db.schema.alterTable("clock").dropColumn("registry_time_ms").execute();
  await db.schema
    .createTable("feed")
    .addColumn("rev", "bigint", (column) => column.primaryKey().notNull())
    .addColumn("stamp", "text", (column) => column.notNull())
    .addColumn("follows", "text", (column) => column.notNull())
    .addColumn("body", "text", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("nodes")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("renewed_at", "double precision", (column) => column.notNull())
    .addColumn("seen_at", "double precision", (column) => column.notNull())
    .addColumn("report", "text")
    .execute();
  await db.schema.alterTable("services").addColumn("node_id", "text").execute();
  await db.schema.alterTable("services").addColumn("lapses_at", "double precision").execute();
}

/** Tokens that end, join and belong to one instance; approval; the audit log. */
async function addSafeguards(db: Kysely<Schema>): Promise<void> {
  const added = [
    ["tokens", "expires_at", "double precision", undefined],
    ["tokens", "max_uses", "double precision", 0],
    ["tokens", "uses", "double precision", 0],
    ["tokens", "instance_id", "text", ""],
    ["tokens", "joined_with", "text", ""],
    ["tokens", "last_used_at", "double precision", undefined],
    ["services", "approved", "integer", 1],
    ["services", "token_id", "text", ""],
  ] as const;
  for (const [table, name, type, value] of added)
    await db.schema
      .alterTable(table)
      .addColumn(name, type, (column) =>
        value === undefined ? column : column.notNull().defaultTo(value),
      )
      .execute();
  await db.schema
    .createTable("audit")
    .addColumn("id", "bigint", (column) => column.primaryKey().notNull())
    .addColumn("at", "double precision", (column) => column.notNull())
    .addColumn("action", "text", (column) => column.notNull())
    .addColumn("token_id", "text", (column) => column.notNull())
    .addColumn("token_name", "text", (column) => column.notNull())
    .addColumn("address", "text", (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("subject_id", "text", (column) => column.notNull())
    .addColumn("subject_name", "text", (column) => column.notNull())
    .addColumn("detail", "text", (column) => column.notNull())
    .addColumn("count", "double precision", (column) => column.notNull())
    .execute();
  await db.schema.createIndex("audit_at").on("audit").column("at").execute();
  await db.schema.createIndex("audit_action").on("audit").columns(["action", "id"]).execute();
  await db.schema
    .alterTable("clock")
    .addColumn("audit_id", "bigint", (column) => column.notNull().defaultTo(0))
    .execute();
  await refuseAuditUpdates(db);
}

/** When credentials were last accepted, and who is OFFLINE by its own word. */
async function addVerification(db: Kysely<Schema>): Promise<void> {
  await db.schema
    .alterTable("services")
    .addColumn("said_offline", "integer", (column) => column.notNull().defaultTo(0))
    .execute();
  for (const table of ["services", "download_clients"] as const)
    await db.schema.alterTable(table).addColumn("verified_at", "double precision").execute();
}

/** Entries of the audit log are never changed, whoever tries. */
async function refuseAuditUpdates(db: Kysely<Schema>): Promise<void> {
  const refusal = sql.lit("the audit log is append only");
  if (db.getExecutor().adapter instanceof SqliteAdapter) {
    await sql`
      create trigger audit_append_only before update on audit
      begin select raise(abort, ${refusal}); end`.execute(db);
    return;
  }
  await sql`
    create function refuse_audit_update() returns trigger language plpgsql as
    'begin raise exception ''the audit log is append only''; end'`.execute(db);
  await sql`
    create trigger audit_append_only before update or truncate on audit
    for each statement execute function refuse_audit_update()`.execute(db);
}
