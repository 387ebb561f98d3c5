import type { Kysely } from "kysely";
import type { Queries } from "./queries.js";
import type { Schema } from "./schema.js";
import type { SqliteConnection } from "./sqlite-dialect.js";
import { attemptOpen, toUnavailable } from "./sqlite-errors.js";
import {
  type CommitRequest,
  type PresenceFlush,
  type Store,
  type StoredRegistry,
  StoreUnavailableError,
} from "./store.js";

export interface SqliteStoreParts {
  readonly connection: SqliteConnection;
  /** Its file, for messages. */
  readonly path: string;
  /** On `connection`. */
  readonly db: Kysely<Schema>;
  readonly queries: Queries;
  /** Called once the connection is closed. */
  readonly release: () => void;
}

/** A store on a connection that is its own. */
export class SqliteStore implements Store {
  readonly shared = undefined;
  readonly #parts: SqliteStoreParts;
  #closing: Promise<void> | undefined;

  constructor(parts: SqliteStoreParts) {
    this.#parts = parts;
  }

  load(maxHistory?: number): Promise<StoredRegistry> {
    return attemptOpen(this.#parts.path, () => this.#parts.queries.load(maxHistory));
  }

  commit(request: CommitRequest): Promise<void> {
    return this.#use((queries) => queries.commit(request));
  }

  flush(flush: PresenceFlush): Promise<void> {
    return this.#use((queries) => queries.flush(flush));
  }

  compact(revision: bigint): Promise<void> {
    return this.#use((queries) => queries.compact(revision));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #use<T>(action: (queries: Queries) => Promise<T>): Promise<T> {
    if (this.#closing) throw new StoreUnavailableError("the store is closed");
    try {
      return await action(this.#parts.queries);
    } catch (error) {
      throw toUnavailable(error);
    }
  }

  async #close(): Promise<void> {
    const { db, connection, release } = this.#parts;
    // Waits for what runs. If it fails, the next open does it.
    await db
      .connection()
      .execute(async () => connection.exec("pragma wal_checkpoint(truncate)"))
      .catch(() => {});
    await db.destroy();
    release();
  }
}
