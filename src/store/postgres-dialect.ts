import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  PostgresAdapter,
  PostgresDriver,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type TransactionSettings,
} from "kysely";
import type { PostgresPool } from "./postgres-pool.js";

/** Whoever waits for a row so long gives up, in ms. More than a stopped node may hold it. */
const LOCK_TIMEOUT_MS = 4_000;
/**
 * A transaction whose client says nothing for so long is ended, in ms: a node that is
 * stopped while it holds the clock blocks the others no longer.
 */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 1_500;

/** In the transaction rather than for the session, so that a pooler between us may share sessions. */
const LIMITS = `set local lock_timeout = ${LOCK_TIMEOUT_MS}; set local idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_TIMEOUT_MS}`;

/** A COMMIT got no answer: it may have been carried out or not. */
export class UnknownOutcomeError extends Error {
  override readonly name = "UnknownOutcomeError";
}

/** Kysely on a pool, with transactions that have limits. */
export function postgresDialect(pool: PostgresPool): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new LimitedDriver({ pool }),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}

class LimitedDriver extends PostgresDriver {
  override async beginTransaction(
    connection: DatabaseConnection,
    { isolationLevel }: TransactionSettings,
  ): Promise<void> {
    const begin = isolationLevel ? `begin isolation level ${isolationLevel}` : "begin";
    await connection.executeQuery(CompiledQuery.raw(`${begin}; ${LIMITS}`)); // one round trip
  }

  override async commitTransaction(
    connection: Parameters<PostgresDriver["commitTransaction"]>[0],
  ): Promise<void> {
    try {
      await super.commitTransaction(connection);
    } catch (error) {
      // An answer that is an error says for sure that nothing was written.
      if (typeof (error as { code?: unknown }).code === "string" && isFromServer(error))
        throw error;
      if ((error as Error).name === "AbortedTransactionError") throw error;
      throw new UnknownOutcomeError("the connection broke during COMMIT", { cause: error });
    }
  }

  /** What made it necessary is what counts: if it fails, the connection is dropped, and that rolls back. */
  override async rollbackTransaction(
    connection: Parameters<PostgresDriver["rollbackTransaction"]>[0],
  ): Promise<void> {
    await super.rollbackTransaction(connection).catch(() => {});
  }
}

/** Errors of the server carry a severity; those of the socket do not. */
function isFromServer(error: unknown): boolean {
  const { severity, code } = error as { severity?: unknown; code?: string };
  return severity !== undefined && !isShutdown(code ?? "");
}

/** The server was ended while it worked: nobody knows how far it got. */
function isShutdown(code: string): boolean {
  return code.startsWith("57P");
}
