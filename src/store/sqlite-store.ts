import type { Kysely } from "kysely";
import type { AuditEntry } from "../core/audit.js";
import type { Queries } from "./queries.js";
import type { Schema } from "./schema.js";
import type { SqliteConnection } from "./sqlite-dialect.js";
import { attemptOpen, toUnavailable } from "./sqlite-errors.js";
import type {
  AuditPage,
  AuditRequest,
  CommitRequest,
  PresenceFlush,
  Store,
  StoredRegistry,
  TokenUse,
} from "./store.js";
import { Usage } from "./usage.js";

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
  readonly #usage = new Usage();

  constructor(parts: SqliteStoreParts) {
    this.#parts = parts;
  }

  load(maxHistory?: number): Promise<StoredRegistry> {
    const { path, queries } = this.#parts;
    return this.#usage.during(() => attemptOpen(path, () => queries.load(maxHistory)));
  }

  commit(request: CommitRequest): Promise<void> {
    return this.#use((queries) => queries.commit(request));
  }

  flush(flush: PresenceFlush): Promise<void> {
    return this.#use((queries) => queries.flush(flush));
  }

  noteTokenUses(uses: readonly TokenUse[]): Promise<void> {
    return this.#use((queries) => queries.noteTokenUses(uses));
  }

  tokenUses(): Promise<readonly TokenUse[]> {
    return this.#use((queries) => queries.tokenUses());
  }

  async compact(revision: bigint): Promise<void> {
    while (await this.#use((queries) => queries.compactSlice(revision)))
      await new Promise(setImmediate); // commits and heartbeats do not wait for all of it
  }

  appendAudit(entries: readonly AuditEntry[]): Promise<void> {
    return this.#use(({ audit }) => audit.append(entries));
  }

  readAudit(request: AuditRequest): Promise<AuditPage> {
    return this.#use(({ audit }) => audit.read(request));
  }

  async trimAudit(before: number): Promise<void> {
    while (await this.#use(({ audit }) => audit.trimSlice(before))) await new Promise(setImmediate); // as in `compact`
  }

  close(): Promise<void> {
    const { db, connection, release } = this.#parts;
    return this.#usage.end(async () => {
      try {
        connection.exec("pragma wal_checkpoint(truncate)");
      } catch {
        // The next open does it.
      }
      await db.destroy();
      release();
    });
  }

  #use<T>(action: (queries: Queries) => Promise<T>): Promise<T> {
    return this.#usage.during(async () => {
      try {
        return await action(this.#parts.queries);
      } catch (error) {
        throw toUnavailable(error);
      }
    });
  }
}
