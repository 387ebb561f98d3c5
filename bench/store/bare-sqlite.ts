import { join } from "node:path";
import Database from "libsql";
import type { BareLoop, Inserted } from "./bare-inserts.js";
import { type Row, type Statement, statementsOf } from "./bare-rows.js";

/** As Pulse opens its own. */
const PRAGMAS = [
  "journal_mode = wal",
  "synchronous = full",
  "foreign_keys = on",
  "journal_size_limit = 67108864",
  "cache_size = -16384",
];

/** Where Pulse keeps its database. */
export function pulseDatabase(data: string): string {
  return join(data, "pulse.db");
}

/** Tables like those of the Pulse whose data these are, with its services, in a file beside them. */
export function openBareSqlite(data: string): BareLoop {
  const pulse = new Database(pulseDatabase(data), { readonly: true });
  const all = (sql: string) => pulse.prepare(sql).all() as Row[];
  const schema = all("select sql from sqlite_schema where sql is not null");
  const clock = all("select * from clock");
  const services = all("select * from services");
  const changes = all(
    "select * from change_log where rev = (select rev from clock) order by position",
  );
  pulse.close();

  const db = new Database(join(data, "bare.db"));
  for (const pragma of PRAGMAS) db.exec(`pragma ${pragma}`);
  for (const { sql } of schema) db.exec(String(sql));
  const insert = (table: string, row: Row) =>
    db
      .prepare(`insert into ${table} values (${Object.keys(row).fill("?").join(", ")})`)
      .run(Object.values(row));
  db.exec("begin immediate");
  for (const row of clock) insert("clock", row);
  for (const row of services) insert("services", row);
  db.exec("commit");

  const statements = statementsOf({ services, changes, feed: undefined }, () => "?");
  return loopOn(db, statements);
}

function loopOn(db: Database.Database, statements: readonly Statement[]): BareLoop {
  const prepared = statements.map(({ text, values }) => ({ run: db.prepare(text), values }));
  const begin = db.prepare("begin immediate");
  const commit = db.prepare("commit");
  let nth = 0;

  function insertOne(): void {
    nth++;
    begin.run();
    for (const { run, values } of prepared) run.run(values(nth));
    commit.run();
  }

  return {
    /** One connection does one after the other, however many ask. */
    async run(_callers, warmUpMs, ms): Promise<Inserted> {
      const first = nth;
      for (const end = performance.now() + warmUpMs; performance.now() < end; ) insertOne();
      const timesMs: number[] = [];
      const startedAt = performance.now();
      for (let at = startedAt; at - startedAt < ms; ) {
        insertOne();
        const now = performance.now();
        timesMs.push(now - at);
        at = now;
      }
      return { timesMs, tookMs: performance.now() - startedAt, all: nth - first };
    },
    close: async () => void db.close(),
  };
}
