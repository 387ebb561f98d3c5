import pg from "pg";
import { expect, it, onTestFinished } from "vitest";
import { systemRandom } from "../../src/lib/random.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import { eventually } from "../support/eventually.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { requestOf, serviceCommit } from "./sample-records.js";
import { temporaryDirectory } from "./temporary-store.js";

describePostgres("the line of those who wait for the clock", () => {
  it("has each node in it once, so that one that stops there holds the others up once", async () => {
    const { url, drop } = await createDatabase();
    onTestFinished(drop);
    const directory = await temporaryDirectory();
    const store = await openPostgresStore({ url, directory, random: systemRandom });
    onTestFinished(() => store.close());
    const { shared } = store;
    if (!shared) throw new Error("it is not shared");
    await shared.join({ id: "node", name: "host:1" });

    const connect = async () => {
      const client = new pg.Client(url);
      await client.connect();
      onTestFinished(() => client.end());
      return client;
    };
    const [other, watching] = await Promise.all([connect(), connect()]);
    await other.query("begin; select from clock for update");
    const writes = [
      store.commit(requestOf([serviceCommit(1n)])),
      shared.hold("node", { claims: [{ serviceId: "s", leaseId: "l" }], releases: [] }),
      shared.bury("nobody", { minTtlMs: 0, graceMs: 0 }, true),
    ];
    const waiting = async () => {
      const { rows } = await watching.query<{ count: string }>(
        `select count(*) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return Number(rows[0]?.count);
    };
    await eventually(async () => expect(await waiting()).toBeGreaterThan(0));
    await new Promise((resolve) => setTimeout(resolve, 100)); // whoever else would come is there
    expect(await waiting()).toBe(1);
    await other.query("commit");
    await Promise.all(writes);
  });
});
