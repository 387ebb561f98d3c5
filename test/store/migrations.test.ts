import { Kysely, sql } from "kysely";
import Database from "libsql";
import { expect, it, onTestFinished } from "vitest";
import { MIGRATIONS, type Migration, migrate } from "../../src/store/migrations.js";
import type { Schema } from "../../src/store/schema.js";
import { sqliteDialect } from "../../src/store/sqlite-dialect.js";
import { StoreOpenError } from "../../src/store/store.js";

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
