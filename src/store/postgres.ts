import { resolve } from "node:path";
import { Kysely, sql, type Transaction } from "kysely";
import { type Clock, systemClock } from "../lib/clock.js";
import { makePrivateDirectory } from "../lib/private-file.js";
import type { Random } from "../lib/random.js";
import { migrateIn } from "./migrations.js";
import { insertClock } from "./new-clock.js";
import { createDueIndex, NodeQueries } from "./node-queries.js";
import { postgresDialect } from "./postgres-dialect.js";
import { toOpenError } from "./postgres-errors.js";
import { listenForCommits } from "./postgres-listener.js";
import { PostgresPool } from "./postgres-pool.js";
import { type Lane, PostgresStore } from "./postgres-store.js";
import { databaseName } from "./postgres-url.js";
import { Queries } from "./queries.js";
import type { Schema } from "./schema.js";
import { lockSchema } from "./schema-lock.js";
import { openKeys, type StoreKeys, sealLike } from "./secret-key.js";
import { type Store, StoreOpenError } from "./store.js";

const APPLICATION_NAME = "pulse";
/**
 * A transaction may wait for the clock, which a stopped node may hold for a while; but the
 * caller must hear of a failure before he gives up, after 10 s.
 */
const WRITES = { max: 3, deadlineMs: 5_000 };
/** Behind each of these somebody waits who can do without. */
const ASKS = { max: 2, deadlineMs: 2_000 };

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database`; what it leaves out comes from PGHOST, PGPASSWORD … */
  readonly url: string;
  /** Where the key file is, unless a key is given. Made for its owner alone if it is not there. */
  readonly directory: string;
  /** 32 bytes as hex or base64, or several such with commas between: all nodes need the one in use. */
  readonly secretKey?: string;
  readonly random: Random;
  /** For tests. */
  readonly clock?: Clock;
}

/**
 * Opens the registry's store in a PostgreSQL database, or makes it there. Other
 * nodes may use it at the same time, with the same secret key.
 * @throws StoreOpenError with one sentence that says what to do.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const { url, random, clock = systemClock } = options;
  const name = databaseName(url);
  const directory = resolve(options.directory);
  await makePrivateDirectory(directory);
  const connect = (limits: typeof WRITES) => {
    const pool = new PostgresPool({ url, applicationName: APPLICATION_NAME, clock, ...limits });
    return new Kysely<Schema>({ dialect: postgresDialect(pool) });
  };
  const writes = connect({ ...WRITES, deadlineMs: 90_000 });
  let keys: StoreKeys;
  try {
    keys = await prepare(writes, name, { ...options, directory });
  } catch (error) {
    throw toOpenError(error, name);
  } finally {
    await writes.destroy();
  }
  const { secrets } = keys;
  const author = random.uuid();
  const lane = (db: Kysely<Schema>): Lane => ({
    db,
    queries: new Queries({ db, secrets, isShared: true, author }),
    nodes: new NodeQueries(db),
  });
  return new PostgresStore({
    name,
    keys,
    random,
    writes: lane(connect(WRITES)),
    asks: lane(connect(ASKS)),
    listen: (onHint) =>
      listenForCommits({ url, applicationName: APPLICATION_NAME, clock, random, author }, onHint),
  });
}

/** Brings the schema up to date and finds or makes the key, while no other node does so. */
async function prepare(
  db: Kysely<Schema>,
  name: string,
  options: PostgresStoreOptions,
): Promise<StoreKeys> {
  return db.transaction().execute(async (trx) => {
    await refuseStandby(trx, name);
    await lockSchema(trx);
    await migrateIn(trx);
    await createDueIndex(trx);
    const clock = await trx.selectFrom("clock").select("key_check").executeTakeFirst();
    const { directory, secretKey, random } = options;
    const keys = await openKeys({
      directory,
      database: `the database ${name}`,
      secretKey,
      check: clock?.key_check,
      random,
    });
    if (clock) sealLike(clock.key_check, keys.secrets);
    else await insertClock(trx, keys.secrets, random);
    return keys;
  });
}

async function refuseStandby(trx: Transaction<Schema>, name: string): Promise<void> {
  const { rows } = await sql<{ standby: boolean }>`select pg_is_in_recovery() as standby`.execute(
    trx,
  );
  if (rows[0]?.standby)
    throw new StoreOpenError(`${name} is a standby, which cannot be written: give the primary`);
}
