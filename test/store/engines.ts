import { join } from "node:path";
import { Kysely, sql } from "kysely";
import Database from "libsql";
import { describe, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import { systemRandom } from "../../src/lib/random.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import { postgresDialect } from "../../src/store/postgres-dialect.js";
import { PostgresPool } from "../../src/store/postgres-pool.js";
import type { Schema } from "../../src/store/schema.js";
import { sqliteDialect } from "../../src/store/sqlite-dialect.js";
import type { Store } from "../../src/store/store.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

/** Where one store is or will be. It goes with the test. */
export interface Place {
  /** Where its key file is, unless a key is given. */
  readonly directory: string;
  /** Closed when the test ends. */
  open(secretKey?: string): Promise<Store>;
  /** The database as another program sees it, whether or not there is a store in it. */
  connect(): Kysely<Schema>;
}

export interface Engine {
  readonly name: string;
  /** Whether several stores may be open in one place. */
  readonly isShared: boolean;
  /** What it says if a row refers to one that is not there. */
  readonly orphanError: string;
  place(): Promise<Place>;
}

/** A place of a PostgreSQL, with its URL. */
export interface PostgresPlace extends Place {
  readonly url: string;
}

/** The same suite for each engine; that of PostgreSQL where there is one. */
export function describeEngines(name: string, suite: (engine: Engine) => void): void {
  describe(`${name}, SQLite`, () => suite(SQLITE));
  describePostgres(`${name}, PostgreSQL`, () => suite(POSTGRES));
}

const SQLITE: Engine = {
  name: "SQLite",
  isShared: false,
  orphanError: "FOREIGN KEY",
  async place() {
    const directory = await temporaryDirectory();
    return {
      directory,
      open: (secretKey) => openStore(directory, secretKey),
      connect: () => closing(sqliteDialect(new Database(join(directory, "pulse.db")))),
    };
  },
};

const POSTGRES: Engine = {
  name: "PostgreSQL",
  isShared: true,
  orphanError: "foreign key",
  place: () => postgresPlace(),
};

/** An empty database of the test's own, with a directory for its key. */
export async function postgresPlace(): Promise<PostgresPlace> {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  return placeAt(database.url);
}

/** A database that is there, as one node with a directory of its own uses it. */
export async function placeAt(url: string): Promise<PostgresPlace> {
  const directory = await temporaryDirectory();
  return {
    url,
    directory,
    async open(secretKey) {
      const store = await openPostgresStore({
        url,
        directory,
        random: systemRandom,
        ...(secretKey === undefined ? {} : { secretKey }),
      });
      onTestFinished(() => store.close());
      return store;
    },
    connect() {
      const limits = { max: 5, deadlineMs: 10_000, clock: systemClock };
      return closing(
        postgresDialect(new PostgresPool({ url, applicationName: "pulse test", ...limits })),
      );
    },
  };
}

function closing(dialect: ConstructorParameters<typeof Kysely<Schema>>[0]["dialect"]) {
  const db = new Kysely<Schema>({ dialect });
  onTestFinished(() => db.destroy());
  return db;
}

/** Runs SQL as another program does. Numbers come as texts: the engines read them differently. */
export async function run(db: Kysely<Schema>, text: string): Promise<Record<string, unknown>[]> {
  const { rows } = await sql.raw<Record<string, unknown>>(text).execute(db);
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        typeof value === "bigint" || typeof value === "number" ? String(value) : value,
      ]),
    ),
  );
}

const TABLES = [
  "schema_version",
  "clock",
  "registry_time",
  "change_log",
  "feed",
  "nodes",
  "services",
  "download_clients",
  "tokens",
  "audit",
];

/** Every row of every table, as text. */
export async function dump(db: Kysely<Schema>): Promise<string> {
  const tables = await Promise.all(
    TABLES.map(async (table) => ({ table, rows: await run(db, `select * from ${table}`) })),
  );
  return JSON.stringify(tables);
}
