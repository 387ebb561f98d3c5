import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ClusterProbes, longestAnswerMs, outcomes } from "../support/cluster-probes.js";
import { ClusterRun } from "../support/cluster-run.js";
import { longestMs } from "../support/cluster-writers.js";
import { eventually } from "../support/eventually.js";
import { describePostgresServer } from "../support/postgres.js";

// Three nodes as processes, 200 services, watchers and writers; and a PostgreSQL that
// goes away in all the ways in which it may. Nobody is OFFLINE for it.

/** A caller that nobody answers gives up after 10 s. */
const CALLER_PATIENCE_MS = 10_000;

describePostgresServer("nodes whose PostgreSQL", () => {
  let run: ClusterRun;
  let probes: ClusterProbes;
  beforeAll(async () => {
    run = await ClusterRun.start((n) => (n % 2 ? 5_000 : 15_000));
    probes = await ClusterProbes.start(run.cluster.nodes, run.token);
    // A node without its database ends a stream that the others have not heard of.
    await run.claimed();
  }, 60_000);
  afterAll(async () => {
    await probes?.stop();
    await run?.stop();
  }, 60_000);

  it.each([
    ["is stopped and started", () => run.cluster.postgres.stop()],
    ["crashes and is started", () => run.cluster.postgres.kill()],
  ])(
    "%s refuse writes meanwhile, and nothing else",
    async (_, end) => {
      const since = performance.now();
      await end();
      await sleep(2_000);
      await run.cluster.postgres.start();
      await run.isWhole();
      refusedOnlyWrites(since);
      expect(run.fleet.longestAbsenceMs(since)).toBe(0);
    },
    60_000,
  );

  it("is out of reach for one of them leave it to the others before anybody lapses", async () => {
    await run.claimed();
    const node = run.busiest();
    const since = performance.now();
    await node.proxy.blackhole();
    await eventually(() => expect(run.fleet.on(node)).toEqual([]), 23_000);
    await run.fleet.isWhole();
    expect(run.fleet.longestAbsenceMs(since)).toBeLessThan(5_000);
    await node.proxy.restore();
    await run.isWhole();
    refusedOnlyWrites(since);
    await eventually(() => expect(node.said("node.rejoined")).toBeGreaterThan(0));
  }, 60_000);

  it("is out of reach for 30 s go on without it, and then with it", async () => {
    const [one, two, three] = run.cluster.nodes.map(({ proxy }) => proxy);
    await run.claimed();
    const since = performance.now();
    await Promise.all([one?.blackhole(), two?.cut(), three?.blackhole()]);
    await sleep(15_000);
    await three?.cut();
    for (const node of run.cluster.nodes) expect(await node.storeHealth()).toBe("unavailable");
    await sleep(15_000);
    expect(outcomes(probes.lists, since + 5_000, performance.now())).toEqual(["stale"]);
    await Promise.all([one, two, three].map((proxy) => proxy?.restore()));
    await run.isWhole();
    refusedOnlyWrites(since);
  }, 90_000);

  it("failed so often tell one history, whole and in order, in which nobody was OFFLINE", async () => {
    await probes.stop();
    const { broken, offline } = await run.verdict();
    for (const [what, problems] of Object.entries(broken))
      expect([what, problems]).toEqual([what, []]);
    expect(offline.filter(({ commit }) => commit.reason !== "goodbye")).toEqual([]);
  }, 60_000);

  /** What is true of every outage that began then. */
  function refusedOnlyWrites(since: number): void {
    const until = performance.now();
    const writes = run.writers.between(since, until);
    const refused = writes.filter(({ outcome }) => outcome !== "ok");
    expect([...new Set(refused.map(({ outcome }) => outcome))]).toEqual([
      "Unavailable STORE_UNAVAILABLE",
    ]);
    for (const { failure } of refused) expect(failure?.retryAfterMs).toBeGreaterThan(0);
    expect(longestMs(refused)).toBeLessThan(CALLER_PATIENCE_MS);
    expect(outcomes(probes.beats, since, until)).toEqual(["renewed"]);
    expect(longestAnswerMs(probes.beats, since)).toBeLessThan(2_000);
  }
});
