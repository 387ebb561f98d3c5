import { join } from "node:path";
import Database from "libsql";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openBarePostgres } from "../../bench/store/bare-postgres.js";
import { openBareSqlite } from "../../bench/store/bare-sqlite.js";
import { postgresSizes, sqliteSizes } from "../../bench/store/sizes.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { HAUL, TestPulse } from "../support/pulse.js";

// The bare loops must write what Pulse writes, and leave Pulse's own alone.

let pulse: TestPulse;

/** A Pulse whose newest commit registers a service again. */
async function startRegistered(options: Parameters<typeof TestPulse.start>[0] = {}): Promise<void> {
  pulse = await TestPulse.start(options);
  await registerAgain();
  await registerAgain();
}

async function registerAgain(): Promise<void> {
  const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
  await registry.register(HAUL);
}

afterEach(() => pulse.stop());

describe("bare inserts into SQLite", () => {
  beforeEach(() => startRegistered());

  it("write a service, its change and the clock for each Register, in a file of their own", async () => {
    await pulse.server.stop();
    const before = sqliteSizes(pulse.dataDirectory);
    const loop = openBareSqlite(pulse.dataDirectory);
    const { all, timesMs, tookMs } = await loop.run(1, 0, 20);
    await loop.close();

    expect(timesMs).toHaveLength(all);
    expect(tookMs).toBeGreaterThanOrEqual(20);
    const bare = new Database(join(pulse.dataDirectory, "bare.db"));
    const one = (sql: string) => (bare.prepare(sql).get() as { value: unknown }).value;
    expect(one("select count(*) as value from services")).toBe(1);
    expect(one("select count(distinct rev) as value from change_log")).toBe(all);
    expect(one("select rev as value from clock")).toBe(before.revision + all);
    expect(one("select spec as value from services")).toContain("qbittorrent");
    bare.close();
    expect(sqliteSizes(pulse.dataDirectory)).toEqual(before);
  });
});

describePostgres("bare inserts into PostgreSQL", () => {
  let url: string;
  beforeEach(async () => {
    ({ url } = await createDatabase());
    await startRegistered({ database: url });
  });

  it("write what nodes of a shared store write, in a schema of their own", async () => {
    const before = await postgresSizes(url);
    const loop = await openBarePostgres(url, 2);
    const { all } = await loop.run(2, 0, 20);
    await loop.close();

    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query(
      `select (select count(*)::int from bare.services) as services,
        (select count(distinct rev)::int from bare.change_log) as changes,
        (select count(*)::int from bare.feed) as feed,
        (select rev::int from bare.clock) as rev`,
    );
    await client.end();
    expect(all).toBeGreaterThanOrEqual(2);
    expect(rows).toEqual([{ services: 1, changes: all, feed: all, rev: before.revision + all }]);
    expect(await postgresSizes(url)).toEqual(before);
    await registerAgain(); // a Pulse whose tables others wrote to would end
  });
});
