import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import type { ClusterNode } from "../support/cluster.js";
import { ClusterRun } from "../support/cluster-run.js";
import { ClusterWriters, longestMs } from "../support/cluster-writers.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { describePostgresServer } from "../support/postgres.js";
import { HAUL } from "../support/pulse.js";

// Three nodes as processes on one PostgreSQL, 200 services on them by way of real
// clients, watchers and writers on each; and nodes that die, stand still, and are
// replaced. What must be true of all of it together is asked at the end.

const TTL_MS = 5_000;
/** A dead node is found out, its instances have their TTL and the grace, and a sweep finds them. */
const LAPSE_WITHIN_MS = 5_000 + TTL_MS + 3_000 + 3_000;
/** It had renewed its place among the nodes a second before it died, or less. */
const LAPSE_NOT_BEFORE_MS = 4_000 + TTL_MS + 3_000;

describePostgresServer("nodes", () => {
  let run: ClusterRun;
  /** Services that nobody keeps alive, by their ids, and when their node died. */
  const left = new Map<string, number>();
  beforeAll(async () => {
    run = await ClusterRun.start(() => TTL_MS);
  }, 60_000);
  afterAll(() => run?.stop(), 60_000);

  it("share the services that are given the addresses of all", () => {
    const shares = run.cluster.nodes.map((node) => run.fleet.on(node).length);
    expect(shares.reduce((sum, share) => sum + share)).toBe(200);
    expect(Math.max(...shares)).toBeLessThan(150);
  });

  it("take over from one that is killed, and find out who does not come", async () => {
    const node = run.busiest();
    const survivors = run.cluster.nodes.filter((other) => other !== node);
    const ids = await leaveBehind(node, 5);
    await run.claimed();
    const since = performance.now();
    const diedAt = Date.now();
    await node.kill();
    for (const id of ids) left.set(id, diedAt);
    await run.fleet.isWhole(TTL_MS);
    expect(run.fleet.longestAbsenceMs(since)).toBeLessThan(TTL_MS);
    for (const survivor of survivors) {
      const { registry } = survivor.connect(run.token);
      const statuses = [ServiceStatus.OFFLINE];
      await eventually(async () => {
        const { services } = await registry.listServices({ statuses });
        expect(services.map(({ id }) => id).sort()).toEqual([...ids].sort());
      }, LAPSE_WITHIN_MS);
    }
    await node.start();
    await run.isWhole();
  }, 60_000);

  it("wait no more than 2 s for one that stands still in a transaction, and have it back when it goes on", async () => {
    const node = run.busiest();
    const others = run.cluster.nodes.filter((other) => other !== node);
    await run.claimed();
    const rush = new ClusterWriters([node], run.token, { perNode: 8, pauseMs: 0 });
    await freezeInTransaction(node);
    const since = performance.now();
    await sleep(20_000);
    const writes = run.writers.between(since, performance.now(), others);
    node.thaw();
    expect([...new Set(writes.map(({ outcome }) => outcome))]).toEqual(["ok"]);
    expect(longestMs(writes)).toBeGreaterThan(1_000); // it did have the clock
    expect(longestMs(writes)).toBeLessThan(2_500); // 2 s, and what a busy machine adds
    expect(run.fleet.longestAbsenceMs(since)).toBeLessThan(TTL_MS);
    await rush.stop();
    await eventually(() => expect(node.said("node.rejoined")).toBe(1));
    await run.isWhole();
  }, 60_000);

  it("are replaced one after the other, and nobody misses them", async () => {
    const since = performance.now();
    for (const node of run.cluster.nodes) {
      expect(await node.stop()).toEqual({ code: 0, signal: null });
      await node.start();
    }
    await run.isWhole();
    expect(run.fleet.longestAbsenceMs(since)).toBeLessThan(TTL_MS);
  }, 60_000);

  it("tell one history, whole and in order, in which only those are OFFLINE who never came back", async () => {
    const { broken, offline } = await run.verdict();
    for (const [what, problems] of Object.entries(broken))
      expect([what, problems]).toEqual([what, []]);
    expect(offline.map(({ id }) => id).sort()).toEqual([...left.keys()].sort());
    for (const { id, commit } of offline) {
      const afterMs = commit.at - (left.get(id) ?? 0);
      expect(afterMs).toBeGreaterThan(LAPSE_NOT_BEFORE_MS);
      expect(afterMs).toBeLessThan(LAPSE_WITHIN_MS);
    }
  }, 60_000);

  /** Registers services on a node whose streams end with it. */
  async function leaveBehind(node: ClusterNode, count: number): Promise<readonly string[]> {
    const { registry } = node.connect(run.token);
    const stream = new HeartbeatClient(registry);
    const ids: string[] = [];
    for (let n = 0; n < count; n++) {
      const { lease, service } = await registry.register({
        ...HAUL,
        instanceId: `left-${n}`,
        requestedTtl: { seconds: BigInt(TTL_MS / 1_000), nanos: 0 },
      });
      expect(await stream.beat({ leaseId: lease?.id ?? "" })).toMatchObject({ case: "renewed" });
      ids.push(service?.id ?? "");
    }
    stream.event().catch(() => {}); // that it breaks is meant
    return ids;
  }

  /** Stops a node in the middle of a transaction in which it holds the clock's row. */
  async function freezeInTransaction(node: ClusterNode): Promise<void> {
    for (let n = 0; n < 200; n++) {
      node.freeze();
      await sleep(60); // whoever else is in the middle of one is out of it by then
      const [row] = await run.cluster.ask<{ held: boolean }>(
        `select exists (
           select from pg_locks join pg_stat_activity using (pid)
           where relation = 'clock'::regclass and granted
             and state = 'idle in transaction' and state_change < now() - interval '50 ms'
         ) as held`,
      );
      if (row?.held) return;
      node.thaw();
      await sleep(20);
    }
    throw new Error(`${node.name} is never in a transaction`);
  }
});
