import { join } from "node:path";
import { Kysely, sql } from "kysely";
import Database from "libsql";
import { expect, it, onTestFinished } from "vitest";
import { newOperatorFields } from "../../src/core/entry.js";
import { Secrets } from "../../src/lib/sealing.js";
import { MIGRATIONS, type Migration, migrate } from "../../src/store/migrations.js";
import { changeLogRows, serviceRow, tokenRow } from "../../src/store/records.js";
import type { Schema } from "../../src/store/schema.js";
import { checkOf } from "../../src/store/secret-key.js";
import { sqliteDialect } from "../../src/store/sqlite-dialect.js";
import { StoreOpenError } from "../../src/store/store.js";
import { seededRandom } from "../support/seeded-random.js";
import {
  commitOf,
  entryRecord,
  manualRecord,
  serviceRecord,
  tokenRecord,
} from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

function emptyDatabase() {
  const connection = new Database(":memory:");
  onTestFinished(() => void connection.close());
  const db = new Kysely<Schema>({ dialect: sqliteDialect(connection) });
  const tables = () =>
    connection
      .prepare("select name from sqlite_schema where type = 'table' order by name")
      .all()
      .map((row) => (row as { name: string }).name);
  const version = () => connection.prepare("select version from schema_version").all();
  return { db, tables, version };
}

/** A later step of the schema. */
function addTable(name: string): Migration {
  return (db) => db.schema.createTable(name).addColumn("id", "text").execute();
}

it("a new database gets the whole schema, once", async () => {
  const { db, tables, version } = emptyDatabase();
  await migrate(db);
  await migrate(db);
  expect(tables()).toEqual([
    "change_log",
    "clock",
    "download_clients",
    "schema_version",
    "services",
    "tokens",
  ]);
  expect(version()).toEqual([{ version: MIGRATIONS.length }]);
});

it("an older database gets what it lacks, in order", async () => {
  const { db, tables, version } = emptyDatabase();
  await migrate(db, [addTable("one")]);
  await migrate(db, [addTable("one"), addTable("two"), addTable("three")]);
  expect(tables()).toEqual(["one", "schema_version", "three", "two"]);
  expect(version()).toEqual([{ version: 3 }]);
});

it("a step that fails leaves the database as it was", async () => {
  const { db, tables, version } = emptyDatabase();
  await migrate(db, [addTable("one")]);
  const failing: Migration = async (trx) => void (await sql`select nonsense`.execute(trx));
  await expect(migrate(db, [addTable("one"), addTable("two"), failing])).rejects.toThrow(
    "nonsense",
  );
  expect(tables()).toEqual(["one", "schema_version"]);
  expect(version()).toEqual([{ version: 1 }]);
});

it("a newer database is refused, and stays as it is", async () => {
  const { db, version } = emptyDatabase();
  await migrate(db, [addTable("one"), addTable("two")]);
  await expect(migrate(db, [addTable("one")])).rejects.toThrow(StoreOpenError);
  expect(version()).toEqual([{ version: 2 }]);
});

it("a registry of version 1 keeps everything, and can have entries by hand", async () => {
  const directory = await temporaryDirectory();
  const key = Buffer.alloc(32, 7);
  const secrets = new Secrets(key, seededRandom());
  const services = [
    serviceRecord(),
    serviceRecord({ id: "service-2", removed: true, username: "", apiKey: "", revision: 2n }),
  ];
  const tokens = [tokenRecord()];
  const operator = {
    ...newOperatorFields("mine 😀"),
    enabled: false,
    priority: 7,
    category: "tv",
    directory: "/tv",
    tags: ["a"],
    settings: { a: [1] },
  };
  const entries = [
    entryRecord({ ...operator, revision: 2n ** 53n + 1n, createdAt: 1.5 }),
    entryRecord({
      id: "entry-2",
      name: "haul-2",
      origin: { source: "auto", serviceId: "service-2", overrides: {} },
    }),
  ];
  const commits = [
    commitOf(1n, { services: services.slice(0, 1), entries: entries.slice(0, 1), tokens }),
    commitOf(2n, { services: services.slice(1), entries: entries.slice(1) }),
  ];

  const connection = new Database(join(directory, "pulse.db"));
  onTestFinished(() => void connection.close());
  const db = new Kysely<Schema>({ dialect: sqliteDialect(connection) });
  await migrate(db, MIGRATIONS.slice(0, 1));
  const insert = (table: string, row: object) => {
    const names = Object.keys(row);
    const values = names.map(() => "?").join();
    connection
      .prepare(`insert into ${table} (${names.join()}) values (${values})`)
      .run(Object.values(row));
  };
  insert("clock", {
    one: 1,
    epoch: "epoch-1",
    rev: 2,
    stamp: "stamp-2",
    min_rev: 0,
    registry_time_ms: 12.5,
    key_check: checkOf(secrets),
  });
  for (const service of services) insert("services", serviceRow(service, secrets));
  for (const { origin, deletedAt: _, ...entry } of entries) {
    const serviceId = origin.source === "auto" ? origin.serviceId : "";
    insert("download_clients", {
      id: entry.id,
      service_id: serviceId,
      name: entry.name,
      enabled: Number(entry.enabled),
      priority: entry.priority,
      category: entry.category,
      directory: entry.directory,
      tags: JSON.stringify(entry.tags),
      settings: JSON.stringify(entry.settings),
      created_at: entry.createdAt,
      updated_at: entry.updatedAt,
      rev: entry.revision,
      removed: Number(serviceId === "service-2"),
    });
  }
  for (const token of tokens) insert("tokens", tokenRow(token));
  for (const { detail: _, ...row } of commits.flatMap(changeLogRows)) insert("change_log", row);
  connection.close();

  const store = await openStore(directory, key.toString("hex"));
  expect(await store.load()).toEqual({
    epoch: "epoch-1",
    revision: 2n,
    stamp: "stamp-2",
    registryTimeMs: 12.5,
    services,
    entries,
    tokens,
    history: commits.map(({ revision, stamp, at, reason, changes }) => ({
      revision,
      stamp,
      at,
      reason,
      changes,
    })),
  });

  // Another of the first, and one without a service, which version 1 could not have.
  const edited = entryRecord({ ...operator, priority: 8, deletedAt: 5 });
  await store.commit([commitOf(3n, { entries: [edited, manualRecord()] })], 2n);
  const [, second] = entries;
  expect((await store.load()).entries).toEqual([edited, second, manualRecord()]);
  const orphan = entryRecord({
    id: "entry-3",
    origin: { source: "auto", serviceId: "nobody", overrides: {} },
  });
  await expect(store.commit([commitOf(4n, { entries: [orphan] })], 3n)).rejects.toThrow("FOREIGN");
});
