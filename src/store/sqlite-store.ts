import { type Kysely, sql } from "kysely";
import type { AuditEntry } from "../core/audit.js";
import type { Random } from "../lib/random.js";
import { type RotatedDatabase, rotateKeys } from "./key-rotation.js";
import type { Queries } from "./queries.js";
import { Resealing } from "./resealing.js";
import type { Schema } from "./schema.js";
import type { StoreKeys } from "./secret-key.js";
import type { SqliteConnection } from "./sqlite-dialect.js";
import { attemptOpen, toUnavailable } from "./sqlite-errors.js";
import type {
  AuditPage,
  AuditRequest,
  CommitRequest,
  KeyRotation,
  PresenceFlush,
  RotationStep,
  Store,
  StoredRegistry,
  TokenUse,
} from "./store.js";
import { Usage } from "./usage.js";

/** A larger file is not written anew at once, in bytes: that would stop everything for a second. */
const MAX_VACUUM_BYTES = 134_217_728;

export interface SqliteStoreParts {
  readonly connection: SqliteConnection;
  /** Its file, for messages. */
  readonly path: string;
  /** On `connection`. */
  readonly db: Kysely<Schema>;
  readonly queries: Queries;
  /** Those that `queries` uses. */
  readonly keys: StoreKeys;
  readonly random: Random;
  /** Called once the connection is closed. */
  readonly release: () => void;
}

/** A store on a connection that is its own. */
export class SqliteStore implements Store {
  readonly shared = undefined;
  readonly #parts: SqliteStoreParts;
  readonly #usage = new Usage();
  #rotation: Promise<KeyRotation> | undefined;

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

  rotateKeys(onStep: (step: RotationStep) => void): Promise<KeyRotation> {
    this.#rotation ??= this.#rotate(onStep).finally(() => {
      this.#rotation = undefined;
    });
    return this.#rotation;
  }

  #rotate(onStep: (step: RotationStep) => void): Promise<KeyRotation> {
    const { db, queries, keys, random } = this.#parts;
    const usage = this.#usage;
    const resealing = new Resealing({ db, secrets: keys.secrets, isShared: false });
    const database: RotatedDatabase = {
      adopt: () => queries.adoptNewestKey(),
      async reseal() {
        usage.check();
        return resealing.next();
      },
      purge: () => purge(db),
    };
    // As one use, since the key file may be somebody else's to write once the store is closed.
    return this.#use(() => rotateKeys({ keys, isShared: false, database, random, onStep }));
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

/**
 * Leaves nothing on disk that was replaced. `secure_delete` does so with what this and later
 * versions replace; a file written anew, also with what earlier ones have left in its unused parts.
 */
async function purge(db: Kysely<Schema>): Promise<void> {
  await db.connection().execute(async (connection) => {
    const { rows } = await sql<{ bytes: bigint }>`
      select page_count * page_size as bytes
      from pragma_page_count(), pragma_page_size()`.execute(connection);
    if (Number(rows[0]?.bytes) <= MAX_VACUUM_BYTES) await sql`vacuum`.execute(connection);
    // While another program reads, the log stays; the next checkpoint takes its place.
    await sql`pragma wal_checkpoint(truncate)`.execute(connection);
  });
}
