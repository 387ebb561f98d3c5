import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  SqliteAdapter,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type SqliteStatement,
} from "kysely";

/** What is used of a synchronous SQLite driver: better-sqlite3's API, which others have taken over. */
export interface SqliteConnection {
  readonly inTransaction: boolean;
  exec(sql: string): unknown;
  prepare(sql: string): SqliteConnectionStatement;
  close(): unknown;
}

export interface SqliteConnectionStatement {
  readonly reader: boolean;
  run(...parameters: unknown[]): { changes: number; lastInsertRowid: number | bigint };
  all(...parameters: unknown[]): unknown[];
  iterate(...parameters: unknown[]): IterableIterator<unknown>;
  safeIntegers(toggle?: boolean): unknown;
}

/** Kysely on one connection, with transactions that take the write lock when they begin. */
export function sqliteDialect(connection: SqliteConnection): Dialect {
  const prepare = statementCache(connection);
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new ImmediateDriver(connection, prepare),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

class ImmediateDriver extends SqliteDriver {
  readonly #connection: SqliteConnection;

  constructor(connection: SqliteConnection, prepare: (sql: string) => SqliteStatement) {
    super({ database: { prepare, close: () => void connection.close() } });
    this.#connection = connection;
  }

  /** A transaction that reads first and writes later could find itself unable to. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  /** SQLite has rolled back by itself after some errors, such as a full disk. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#connection.inTransaction) await super.rollbackTransaction(connection);
  }
}

/** Writing statements are few and run often; they are prepared once. */
function statementCache(connection: SqliteConnection): (sql: string) => SqliteStatement {
  const cache = new Map<string, SqliteStatement>();
  return (sql) => {
    const cached = cache.get(sql);
    if (cached) return cached;
    const statement = connection.prepare(sql);
    const prepared = {
      reader: statement.reader,
      run: (parameters: readonly unknown[]) => statement.run(parameters),
      all: (parameters: readonly unknown[]) => statement.all(parameters),
      iterate: (parameters: readonly unknown[]) => statement.iterate(parameters),
    };
    if (statement.reader) statement.safeIntegers(true);
    else cache.set(sql, prepared);
    return prepared;
  };
}
