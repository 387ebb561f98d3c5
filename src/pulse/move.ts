import { resolve } from "node:path";
import { systemClock } from "../lib/clock.js";
import { systemRandom } from "../lib/random.js";
import { type CopyResult, copyToPostgres } from "../store/copy.js";
import { databaseName } from "../store/postgres-url.js";
import { openKeys } from "../store/secret-key.js";
import { hasSqliteStore, openSqliteStore, sqlitePath } from "../store/sqlite.js";
import { StoreOpenError } from "../store/store.js";

export interface MoveOptions {
  /** Where the registry is that is moved. No Pulse may run there. */
  readonly dataDirectory: string;
  /** As for Pulse. */
  readonly secretKey?: string;
  /** `postgres://…` of an empty database. */
  readonly database: string;
  /** Told how many rows are written, and of how many. */
  readonly onProgress?: (written: number, total: number) => void;
}

export interface Move {
  /** The database, for people, without a password. */
  readonly database: string;
  readonly epoch: string;
  /** At which the registry in the data directory stands. */
  readonly revision: bigint;
  readonly result: CopyResult;
}

/**
 * Copies the registry of a data directory to PostgreSQL: nodes that are started
 * there go on with it. What is in the directory stays as it is.
 * @throws StoreOpenError with one sentence that says what to do.
 */
export async function moveToPostgres(options: MoveOptions): Promise<Move> {
  const { secretKey, database: url, onProgress } = options;
  const directory = resolve(options.dataDirectory);
  const database = databaseName(url);
  if (!(await hasSqliteStore(directory)))
    throw new StoreOpenError(
      `there is no registry to copy, ${sqlitePath(directory)} is missing: give Pulse's data directory with --data`,
    );
  const key = secretKey === undefined ? {} : { secretKey };
  const source = await openSqliteStore({ directory, random: systemRandom, ...key });
  try {
    const stored = await source.load();
    const { secrets } = await openKeys({
      directory,
      database: `the database in ${directory}`,
      secretKey,
      check: undefined, // the source was opened with it
      random: systemRandom,
    });
    const result = await copyToPostgres({
      stored,
      audit: (request) => source.readAudit(request),
      secrets,
      url,
      clock: systemClock,
      ...(onProgress && { onProgress }),
    });
    return { database, epoch: stored.epoch, revision: stored.revision, result };
  } finally {
    await source.close();
  }
}
