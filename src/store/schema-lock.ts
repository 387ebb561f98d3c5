import { sql, type Transaction } from "kysely";
import type { Schema } from "./schema.js";

/** Who makes or changes tables does so one after the other: "pulse" in ASCII, for `pg_locks`. */
const SCHEMA_LOCK = 0x70756c7365;
/** How long one waits for another who does. */
const PATIENCE = "60s";

/**
 * Keeps every other Pulse from starting on a PostgreSQL database until the
 * transaction ends: what is written in it, they find whole or not at all.
 */
export async function lockSchema(trx: Transaction<Schema>): Promise<void> {
  await sql`set local lock_timeout = ${sql.lit(PATIENCE)}`.execute(trx);
  await sql`select pg_advisory_xact_lock(${sql.lit(SCHEMA_LOCK)})`.execute(trx);
}
