import pg from "pg";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { listenForCommits } from "../../src/store/postgres-listener.js";
import type { SharedStore, Store } from "../../src/store/store.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { describePostgresServer } from "../support/postgres.js";
import { PostgresServer } from "../support/postgres-server.js";
import { seededRandom } from "../support/seeded-random.js";
import { placeAt } from "./engines.js";
import { pointOf, requestOf, serviceCommit } from "./sample-records.js";

let server: PostgresServer;

/** A listener, whose clock the test moves, on a way that the test can cut. */
async function listen() {
  const proxy = await FaultProxy.open(server.port);
  onTestFinished(() => proxy.close());
  const clock = new ManualClock();
  const heard = { hints: 0 };
  const listening = listenForCommits(
    {
      url: `postgres://postgres@127.0.0.1:${proxy.port}/postgres`,
      applicationName: "pulse",
      clock,
      random: seededRandom(),
      author: "me",
    },
    () => heard.hints++,
  );
  onTestFinished(() => listening.stop());
  return { proxy, clock, heard, listening };
}

async function notify(author = "another"): Promise<void> {
  const client = new pg.Client(server.url());
  await client.connect();
  await client.query(`notify pulse_commits, '${author}'`);
  await client.end();
}

describePostgresServer("who listens for commits", () => {
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.dispose());

  it("hears each, and at first that there may be some", async () => {
    const { heard } = await listen();
    await eventually(() => expect(heard.hints).toBe(1));
    await notify();
    await eventually(() => expect(heard.hints).toBe(2));
  });

  it("hears nothing of what it said itself", async () => {
    const { heard } = await listen();
    await eventually(() => expect(heard.hints).toBe(1));
    await notify("me");
    await notify();
    await eventually(() => expect(heard.hints).toBe(2));
    await notify(); // each comes in its turn: an own one would be there by now
    await eventually(() => expect(heard.hints).toBe(3));
  });

  it("tries again for as long as there is no server", async () => {
    const { proxy, clock, heard } = await listen();
    await eventually(() => expect(heard.hints).toBe(1));
    await proxy.cut();
    await settle();
    for (let i = 0; i < 20; i++) {
      await clock.advance(5_000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(heard.hints).toBe(1);
    await proxy.restore();
    await eventually(async () => {
      await clock.advance(5_000);
      expect(heard.hints).toBe(2);
    });
    await notify();
    await eventually(() => expect(heard.hints).toBe(3));
  });

  it("finds out that a connection is dead on which nothing comes, and makes another", async () => {
    const { proxy, clock, heard } = await listen();
    await eventually(() => expect(heard.hints).toBe(1));
    proxy.forget();
    await clock.advance(10_000); // it asks
    await settle();
    await clock.advance(2_999);
    expect(proxy.accepted).toBe(1);
    await clock.advance(1); // it has no answer
    await eventually(async () => {
      await clock.advance(500);
      expect(heard.hints).toBe(2);
    });
    await notify();
    await eventually(() => expect(heard.hints).toBe(3));
  });

  it("stops at once, whatever it waits for", async () => {
    for (const state of ["listening", "cut", "silent"] as const) {
      const { proxy, heard, listening } = await listen();
      await eventually(() => expect(heard.hints).toBe(1));
      if (state === "cut") await proxy.cut();
      if (state === "silent") await proxy.blackhole();
      const startedAt = performance.now();
      await listening.stop();
      await listening.stop();
      expect(performance.now() - startedAt).toBeLessThan(1_000);
    }
  });

  it("listens again after the server was restarted, and is told to look", async () => {
    const place = await placeAt(server.url());
    const store = (await place.open()) as Store & { shared: SharedStore };
    const other = await place.open();
    let hints = 0;
    store.shared.listen(() => hints++);
    await eventually(() => expect(hints).toBe(1));
    await server.stop();
    await server.start();
    await eventually(() => expect(hints).toBe(2));
    await other.commit(requestOf([serviceCommit(1n)]));
    await eventually(() => expect(hints).toBe(3));
    expect((await store.shared.since(pointOf(0n))).commits).toHaveLength(1);
  });
});
