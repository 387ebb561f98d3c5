import pg from "pg";
import type { Clock } from "../lib/clock.js";

/** Connecting takes no longer, in ms. */
const CONNECT_TIMEOUT_MS = 3_000;
/** When the kernel asks whether an idle connection still stands, in ms. */
const KEEPALIVE_DELAY_MS = 5_000;
/** An idle connection is closed after so long, in ms. */
const IDLE_TIMEOUT_MS = 60_000;

export interface PoolOptions {
  readonly url: string;
  /** Seen in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly max: number;
  /** A statement that takes longer is given up, with its connection. */
  readonly deadlineMs: number;
  readonly clock: Clock;
}

/** The connection was closed since a statement got no answer in time. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/** As Kysely takes it. */
interface PoolClient {
  query<R>(sql: string, parameters: readonly unknown[]): Promise<QueryResult<R>>;
  query<R>(cursor: R): R;
  release(discard?: boolean | Error): void;
}

type QueryResult<R> = Awaited<ReturnType<pg.PoolClient["query"]>> & { rows: R[] } & {
  command: "UPDATE" | "DELETE" | "INSERT" | "SELECT" | "MERGE";
};

/** How all connections are made: the LISTEN connection too. */
export function clientConfig(url: string, applicationName: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_DELAY_MS,
    types: TYPES,
  };
}

/**
 * Connections to a PostgreSQL that may go away without a word: each statement has
 * a deadline, after which its connection is torn down rather than waited for.
 */
export class PostgresPool {
  readonly #pool: pg.Pool;
  readonly #options: PoolOptions;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#pool = new pg.Pool({
      ...clientConfig(options.url, options.applicationName),
      Client: TidyClient,
      pipeline: true, // statements are sent when they are given, see pipeline.ts
      connectionTimeoutMillis: Math.min(CONNECT_TIMEOUT_MS, options.deadlineMs),
      max: options.max,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      allowExitOnIdle: true,
    });
    // An idle connection broke: the pool has dropped it, and whoever needs one gets another.
    this.#pool.on("error", () => {});
  }

  async connect(): Promise<PoolClient> {
    const client = await this.#pool.connect();
    const lost = { error: undefined as Error | undefined };
    let hasFailed = false;
    const onError = (error: Error) => {
      lost.error = error;
    };
    client.on("error", onError); // between two statements of a transaction nobody else listens
    const query = async (sql: string, parameters: readonly unknown[]) => {
      if (lost.error) throw lost.error;
      const timer = this.#options.clock.setTimer(
        this.#options.deadlineMs,
        () => {
          lost.error = new DeadlineError(`no answer within ${this.#options.deadlineMs} ms`);
          streamOf(client).destroy(lost.error);
        },
        { holdsProcess: true },
      );
      try {
        return await client.query(sql, [...parameters]);
      } catch (error) {
        hasFailed = true;
        throw lost.error ?? error;
      } finally {
        timer.cancel();
      }
    };
    return {
      query: query as PoolClient["query"],
      release: (discard) => {
        client.removeListener("error", onError);
        // Who gets it next must not find himself in another's transaction, nor in a session
        // with a trouble of its own: one that became read-only stays so.
        const isIdle = client.getTransactionStatus() === "I";
        client.release(lost.error ?? (discard || hasFailed || !isIdle));
      },
    };
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}

class TidyClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    // What comes right behind the greeting comes before anybody else can listen, and would end the process.
    this.on("error", () => {});
  }

  /** pg leaves the socket open if it has no answer to how the server wants to be convinced. */
  override connect(): Promise<pg.Client>;
  override connect(callback: (error: Error) => void): void;
  override connect(callback?: (error: Error) => void): unknown {
    if (!callback) return super.connect();
    super.connect((error: Error) => {
      if (error) streamOf(this).destroy();
      callback(error);
    });
    return undefined;
  }
}

/** pg has no call that closes a connection at once. */
export function streamOf(client: pg.ClientBase): { destroy(error?: Error): void } {
  return (client as unknown as { connection: { stream: { destroy(error?: Error): void } } })
    .connection.stream;
}

/** Integers of any size as bigint, as from SQLite, so that none loses a digit. */
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    INTEGER_OIDS.has(oid)
      ? (text: string) => BigInt(text)
      : pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig["getTypeParser"],
};
const INTEGER_OIDS: ReadonlySet<number> = new Set([
  pg.types.builtins.INT2,
  pg.types.builtins.INT4,
  pg.types.builtins.INT8,
]);
