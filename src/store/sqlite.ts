import { access, chmod, open } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Kysely } from "kysely";
import Database from "libsql";
import { makePrivateDirectory } from "../lib/private-file.js";
import type { Random } from "../lib/random.js";
import { migrate } from "./migrations.js";
import { insertClock } from "./new-clock.js";
import { giveUpOwnership, takeOwnership } from "./owner-lock.js";
import { Queries } from "./queries.js";
import type { Schema } from "./schema.js";
import { openKeys, type StoreKeys } from "./secret-key.js";
import { type SqliteConnection, sqliteDialect } from "./sqlite-dialect.js";
import { attemptOpen } from "./sqlite-errors.js";
import { SqliteStore } from "./sqlite-store.js";
import type { Store } from "./store.js";

const DATABASE_FILE = "pulse.db";
const LOCK_FILE = "pulse.lock";

const PRAGMAS = [
  // Another program that writes blocks this one, and its event loop, for so long at most.
  "busy_timeout = 250",
  "journal_mode = wal",
  // In WAL, only FULL makes every commit survive a power failure.
  "synchronous = full",
  "foreign_keys = on",
  // What was deleted or replaced is overwritten: a sealed password must not outlast its key.
  "secure_delete = on",
  // Bytes that the write-ahead log may keep once it is checkpointed.
  "journal_size_limit = 67108864",
  // 16 MiB: the pages that a fleet of some thousands is written to.
  "cache_size = -16384",
];

export interface SqliteStoreOptions {
  /** Made for its owner alone if it is not there. */
  readonly directory: string;
  /** 32 bytes as hex or base64, or several such with commas between; left out, a key file in the directory. */
  readonly secretKey?: string;
  readonly random: Random;
}

/** The database in a data directory. */
export function sqlitePath(directory: string): string {
  return join(directory, DATABASE_FILE);
}

/** Whether a directory has such a store: to open one would make it. */
export function hasSqliteStore(directory: string): Promise<boolean> {
  return access(sqlitePath(directory)).then(
    () => true,
    () => false,
  );
}

/**
 * Opens the registry's store in a directory, or makes it there, and owns it until
 * it is closed or the process ends.
 * @throws StoreOpenError with one sentence that says what to do.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const directory = resolve(options.directory);
  const lockPath = join(directory, LOCK_FILE);
  const path = sqlitePath(directory);
  const lock = await attemptOpen(lockPath, async () => {
    await makePrivateDirectory(directory);
    return connect(lockPath);
  });
  try {
    await attemptOpen(lockPath, async () => takeOwnership(lock, directory));
  } catch (error) {
    lock.close();
    throw error;
  }
  try {
    return await attemptOpen(path, () => openOwned({ ...options, directory }, path, lock));
  } catch (error) {
    giveUpOwnership(lock);
    throw error;
  }
}

async function openOwned(
  options: SqliteStoreOptions,
  path: string,
  lock: SqliteConnection,
): Promise<Store> {
  const connection = await connect(path);
  try {
    for (const pragma of PRAGMAS) connection.exec(`pragma ${pragma}`);
    const db = new Kysely<Schema>({ dialect: sqliteDialect(connection) });
    await migrate(db);
    const keys = await prepareClock(db, options);
    const queries = new Queries({ db, secrets: keys.secrets, isShared: false });
    const release = () => giveUpOwnership(lock);
    const { random } = options;
    return new SqliteStore({ connection, path, db, queries, keys, random, release });
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** SQLite gives the files beside a database that database's mode. */
async function connect(path: string): Promise<SqliteConnection> {
  // By path and never opened if it exists: to close a file drops all locks that
  // this process holds on it, also those of another store.
  const created = await open(path, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  await created?.close();
  await chmod(path, 0o600);
  return new Database(path);
}

/** A new store gets its epoch, and its key; an old one must be opened with its own. */
async function prepareClock(db: Kysely<Schema>, options: SqliteStoreOptions): Promise<StoreKeys> {
  const { directory, secretKey, random } = options;
  const clock = await db.selectFrom("clock").select("key_check").executeTakeFirst();
  const keys = await openKeys({
    directory,
    database: `the database in ${directory}`,
    secretKey,
    check: clock?.key_check,
    random,
  });
  if (!clock) await insertClock(db, keys.secrets, random);
  return keys;
}
