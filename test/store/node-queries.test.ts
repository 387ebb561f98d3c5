import { describe, expect, it } from "vitest";
import type { Holding, ServiceRecord } from "../../src/core/service.js";
import { NODE_TTL_MS } from "../../src/store/node-queries.js";
import type { SharedStore, Store } from "../../src/store/store.js";
import { eventually } from "../support/eventually.js";
import { describePostgres } from "../support/postgres.js";
import { postgresPlace, run } from "./engines.js";
import { commitOf, pointOf, requestOf, serviceRecord } from "./sample-records.js";

const LEASE = "service-1.1.secret";
const ALLOWANCE = { minTtlMs: 5_000, graceMs: 3_000 };
const claim = (serviceId = "service-1", leaseId = LEASE) => ({ serviceId, leaseId });
const release = (serviceId = "service-1", leaseId = LEASE) => ({
  serviceId,
  leaseId,
  lapsesAt: 7_000,
  leaseExpiresAt: 9_000,
  lastSeenAt: 1_767_225_600_007,
});

/** A store with these services, and hands on its clocks. */
async function nodesOf(...services: readonly Partial<ServiceRecord>[]) {
  const place = await postgresPlace();
  const store = (await place.open()) as Store & { shared: SharedStore };
  const db = place.connect();
  let revision = 0n;
  const write = async (...changes: readonly Partial<ServiceRecord>[]) => {
    revision++;
    await store.commit(requestOf([commitOf(revision, { services: changes.map(serviceRecord) })]));
  };
  if (services.length > 0) await write(...services);
  return {
    nodes: store.shared,
    write,
    /** Registry time is that, and was last taken on so long ago. */
    setTime: (ms: number, agoMs = 0) =>
      run(
        db,
        `update registry_time set ms = ${ms},
          advanced_at = extract(epoch from clock_timestamp()) * 1000 - ${agoMs}`,
      ),
    async time() {
      return (await store.load()).registryTimeMs;
    },
    async holding(serviceId = "service-1"): Promise<Holding | undefined> {
      let holding: Holding | undefined;
      await store.commit({
        known: () => pointOf(revision),
        holdingsOf: [serviceId],
        decide(news) {
          holding = news.holdings.get(serviceId);
          return [];
        },
      });
      return holding;
    },
    rows: () => run(db, "select id, name, renewed_at from nodes order by id"),
  };
}

const A = { id: "a", name: "host-a:9696" };
const B = { id: "b", name: "host-b:9696" };

describePostgres("registry time", () => {
  it("begins with a step of one second, since nobody was alive before", async () => {
    const { nodes } = await nodesOf();
    expect(await nodes.join(A)).toEqual({ registryTimeMs: 1_000, isMember: true, dead: [] });
  });

  it.each([
    ["nothing if the database's clock went back", -60_000, 0, false],
    ["what has passed", 1_200, 1_200, true],
    ["one second of a gap of more than three, in which nobody lived", 3_001, 1_000, false],
    ["one second of a whole day", 86_400_000, 1_000, false],
  ])("goes on by %s", async (_, agoMs, stepMs, goesOn) => {
    const { nodes, setTime } = await nodesOf();
    await nodes.join(A);
    const startedAt = performance.now();
    await setTime(50_000.5, agoMs);
    const { registryTimeMs } = await nodes.renew(A.id);
    const passedMs = goesOn ? performance.now() - startedAt + 1 : 0;
    expect(registryTimeMs).toBeGreaterThanOrEqual(50_000.5 + stepMs);
    expect(registryTimeMs).toBeLessThanOrEqual(50_000.5 + stepMs + passedMs);
  });

  it("goes on after the clock went back, from there", async () => {
    const { nodes, setTime } = await nodesOf();
    await setTime(50_000, -60_000);
    expect((await nodes.renew("nobody")).registryTimeMs).toBe(50_000);
    await eventually(async () =>
      expect((await nodes.renew("nobody")).registryTimeMs).toBeGreaterThan(50_000),
    );
  });

  it("stands still while nobody renews, and does not run faster for several", async () => {
    const { nodes, setTime, time } = await nodesOf();
    await setTime(50_000, 100);
    expect(await time()).toBe(50_000);
    const startedAt = performance.now();
    await setTime(50_000);
    const times = await Promise.all(
      Array.from({ length: 40 }, (_, i) => nodes.renew(`node-${i % 4}`)),
    );
    const passedMs = performance.now() - startedAt;
    for (const { registryTimeMs } of times)
      expect(registryTimeMs - 50_000).toBeLessThanOrEqual(passedMs + 1);
    expect(await time()).toBe(Math.max(...times.map((each) => each.registryTimeMs)));
  });
});

describePostgres("a node", () => {
  it("is one of them from when it joins, and is not while it has no row", async () => {
    const { nodes, rows } = await nodesOf();
    expect((await nodes.renew(A.id)).isMember).toBe(false);
    expect(await rows()).toEqual([]);
    const { registryTimeMs, isMember } = await nodes.join(A);
    expect(isMember).toBe(true);
    expect(await rows()).toEqual([{ ...A, renewed_at: String(registryTimeMs) }]);
  });

  it("is told who has not renewed for too long, but never that it is itself", async () => {
    const { nodes, setTime, time } = await nodesOf();
    await nodes.join(A);
    await nodes.join(B);
    const now = await time();
    await setTime(now + NODE_TTL_MS - 500);
    expect((await nodes.renew(A.id)).dead).toEqual([]);
    await setTime(now + NODE_TTL_MS + 500);
    expect((await nodes.renew("someone")).dead).toEqual([B]);
    expect((await nodes.renew(A.id)).dead).toEqual([B]);
    expect((await nodes.renew(B.id)).dead).toEqual([]); // it is back in time
    expect((await nodes.renew(A.id)).dead).toEqual([]);
  });

  it("reads what the others reported, each the newest", async () => {
    const { nodes } = await nodesOf();
    await nodes.join(A);
    await nodes.join(B);
    expect(await nodes.exchangeReports(A.id, "a1")).toEqual([]);
    expect(await nodes.exchangeReports(B.id, "b1")).toEqual(["a1"]);
    expect(await nodes.exchangeReports(A.id, "a2 😀")).toEqual(["b1"]);
    expect(await nodes.exchangeReports(B.id, "b2")).toEqual(["a2 😀"]);
    await nodes.bury(A.id, ALLOWANCE, false);
    expect(await nodes.exchangeReports(B.id, "b3")).toEqual([]);
    await nodes.exchangeReports(A.id, "ghost"); // it has no row to write to
    expect(await nodes.exchangeReports(B.id, "b4")).toEqual([]);
  });
});

describePostgres("a node that is buried", () => {
  it("leaves its instances free, each with its TTL or the least, and the grace", async () => {
    const { nodes, holding, setTime } = await nodesOf(
      {},
      { id: "service-2", ttlMs: 1_000, lastSeenAt: 5 },
      { id: "service-3" },
      { id: "service-4", leaseActive: false },
    );
    await nodes.join(A);
    await nodes.join(B);
    await nodes.hold(A.id, { claims: [claim(), claim("service-2")], releases: [] });
    await nodes.hold(B.id, { claims: [claim("service-3")], releases: [] });
    await setTime(100_000);
    expect(await nodes.bury(A.id, ALLOWANCE, false)).toBe(2);
    const free = { nodeId: undefined, leaseId: LEASE };
    expect(await holding()).toMatchObject({
      ...free,
      lapsesAt: 118_000,
      leaseExpiresAt: 118_000,
    });
    const second = await holding("service-2");
    expect(second).toMatchObject({ ...free, lapsesAt: 108_000, leaseExpiresAt: 108_000 });
    // It was seen for as long as its node was.
    expect(Math.abs((second?.lastSeenAt ?? 0) - Date.now())).toBeLessThan(60_000);
    expect((await holding("service-3"))?.nodeId).toBe(B.id);
    expect(await holding("service-4")).toMatchObject({ nodeId: undefined, lapsesAt: 15_000.25 });
  });

  it("is buried once, and only if it is dead", async () => {
    const { nodes, setTime, time, rows } = await nodesOf({});
    await nodes.join(A);
    await nodes.hold(A.id, { claims: [claim()], releases: [] });
    const now = await time();
    await setTime(now + NODE_TTL_MS - 500);
    expect(await nodes.bury(A.id, ALLOWANCE, true)).toBeUndefined();
    expect(await rows()).toHaveLength(1);
    await setTime(now + NODE_TTL_MS + 500);
    const buried = await Promise.all([1, 2, 3].map(() => nodes.bury(A.id, ALLOWANCE, true)));
    expect(buried.filter((count) => count !== undefined)).toEqual([1]);
    expect(await nodes.bury(A.id, ALLOWANCE, false)).toBeUndefined();
    expect((await nodes.renew(A.id)).isMember).toBe(false);
  });

  it("claims nothing, until it has joined anew", async () => {
    const { nodes, holding } = await nodesOf({});
    await nodes.join(A);
    await nodes.bury(A.id, ALLOWANCE, false);
    await nodes.hold(A.id, { claims: [claim()], releases: [] });
    expect((await holding())?.nodeId).toBeUndefined();
    await nodes.join(A);
    await nodes.hold(A.id, { claims: [claim()], releases: [] });
    expect((await holding())?.nodeId).toBe(A.id);
  });
});

describePostgres("a node that starts where none was alive", () => {
  it("gives those whom nobody holds their time anew, and no others", async () => {
    const { nodes, holding, setTime } = await nodesOf(
      {},
      { id: "service-2", ttlMs: 1_000 },
      { id: "held" },
      { id: "broken" },
      { id: "gone", leaseActive: false },
      { id: "offline", status: "offline" },
      { id: "says so", status: "offline", saidOffline: true },
    );
    await nodes.join(A);
    await nodes.hold(A.id, { claims: [claim("held"), claim("broken")], releases: [] });
    await nodes.hold(A.id, { claims: [], releases: [release("broken")] });
    await setTime(4_000, 60_000);
    expect(await nodes.spare(ALLOWANCE)).toBe(4);
    const lapsesAt = async (id?: string) => (await holding(id))?.lapsesAt;
    // The pause itself counts as a second, once the node has joined.
    expect([await lapsesAt(), await lapsesAt("service-2"), await lapsesAt("broken")]).toEqual([
      23_000, 13_000, 23_000,
    ]);
    expect(await lapsesAt("says so")).toBe(23_000);
    expect(await holding("held")).toMatchObject({ nodeId: A.id });
    expect([await lapsesAt("gone"), await lapsesAt("offline")]).toEqual([15_000.25, 15_000.25]);
  });

  it("does so once until they are heard of, or the dead would never lapse", async () => {
    const { nodes, write, setTime } = await nodesOf({});
    const spared = async () => {
      await setTime(4_000, 60_000);
      return nodes.spare(ALLOWANCE);
    };
    expect([await spared(), await spared()]).toEqual([1, 0]);
    await write({ generation: 2n, leaseId: LEASE });
    expect([await spared(), await spared()]).toEqual([1, 0]);
    await nodes.join(A);
    await nodes.hold(A.id, { claims: [claim()], releases: [] });
    await nodes.hold(A.id, { claims: [], releases: [release()] });
    expect([await spared(), await spared()]).toEqual([1, 0]);
    await nodes.hold(A.id, { claims: [claim()], releases: [] });
    await nodes.bury(A.id, ALLOWANCE, false); // which gave it its time
    expect(await spared()).toBe(0);
  });

  it("does nothing while others are alive", async () => {
    const { nodes, setTime } = await nodesOf({});
    await nodes.join(A);
    await setTime(4_000, 2_000);
    expect(await nodes.spare(ALLOWANCE)).toBe(0);
  });
});

describePostgres("a holding", () => {
  it("goes to whoever claimed it last", async () => {
    const { nodes, holding } = await nodesOf({});
    await nodes.join(A);
    await nodes.join(B);
    for (const { id } of [A, B, A]) {
      await nodes.hold(id, { claims: [claim()], releases: [] });
      expect(await holding()).toMatchObject({ nodeId: id, lapsesAt: 15_000.25 });
    }
  });

  it.each<[string, Partial<ServiceRecord>]>([
    ["was superseded", { leaseId: "service-1.2.secret", generation: 2n }],
    ["has ended", { leaseActive: false }],
  ])("of a lease that %s is claimed by nobody", async (_, change) => {
    const { nodes, holding } = await nodesOf(change);
    await nodes.join(A);
    await nodes.hold(A.id, { claims: [claim(), claim("nothing")], releases: [] });
    expect((await holding())?.nodeId).toBeUndefined();
  });

  it("is given up by its holder alone, and says when the instance lapses", async () => {
    const { nodes, holding } = await nodesOf({});
    await nodes.join(A);
    await nodes.join(B);
    await nodes.hold(A.id, { claims: [claim()], releases: [] });
    await nodes.hold(B.id, { claims: [], releases: [release()] });
    await nodes.hold(A.id, { claims: [], releases: [release("service-1", "other")] });
    expect(await holding()).toMatchObject({ nodeId: A.id, lapsesAt: 15_000.25 });
    await nodes.hold(A.id, { claims: [], releases: [release()] });
    expect(await holding()).toEqual({
      leaseId: LEASE,
      nodeId: undefined,
      lapsesAt: 7_000,
      leaseExpiresAt: 9_000,
      lastSeenAt: 1_767_225_600_007,
    });
    await nodes.hold(B.id, { claims: [claim()], releases: [] });
    expect(await holding()).toMatchObject({ nodeId: B.id, lapsesAt: 9_000 });
  });

  it("of what nobody holds may be given up, and the later of two lapses counts", async () => {
    const { nodes, holding } = await nodesOf({});
    await nodes.join(A);
    await nodes.hold(A.id, { claims: [], releases: [{ ...release(), leaseExpiresAt: 14_000 }] });
    expect(await holding()).toMatchObject({
      nodeId: undefined,
      lapsesAt: 7_000,
      leaseExpiresAt: 15_000.25,
    });
    const late = { ...release(), lapsesAt: 8_000, leaseExpiresAt: 20_000 };
    await nodes.hold(B.id, { claims: [], releases: [late] });
    await nodes.hold(A.id, { claims: [], releases: [release()] });
    expect(await holding()).toMatchObject({ lapsesAt: 8_000, leaseExpiresAt: 20_000 });
  });

  it("is given up also if it was never claimed, but not sooner than another says", async () => {
    const { nodes, holding } = await nodesOf({});
    await nodes.join(A);
    await nodes.join(B);
    await nodes.hold(A.id, { claims: [], releases: [release()] });
    expect(await holding()).toMatchObject({ nodeId: undefined, lapsesAt: 7_000 });
    const later = { ...release(), lapsesAt: 8_000 };
    await nodes.hold(B.id, { claims: [claim()], releases: [] });
    await nodes.hold(B.id, { claims: [], releases: [later] });
    await nodes.hold(A.id, { claims: [], releases: [release()] });
    expect(await holding()).toMatchObject({ nodeId: undefined, lapsesAt: 8_000 });
  });

  it("may be one of very many, given up and claimed at once", async () => {
    const ids = Array.from({ length: 203 }, (_, i) => `service-${i}`);
    const { nodes, holding } = await nodesOf(...ids.map((id) => ({ id })));
    await nodes.join(A);
    const even = ids.filter((_, i) => i % 2 === 0);
    const odd = ids.filter((_, i) => i % 2 === 1);
    await nodes.hold(A.id, { claims: even.map((id) => claim(id)), releases: [] });
    await nodes.hold(A.id, {
      claims: odd.map((id) => claim(id)),
      releases: even.map((id) => release(id)),
    });
    for (const id of ["service-0", "service-202"])
      expect(await holding(id)).toMatchObject({ nodeId: undefined, lapsesAt: 7_000 });
    for (const id of ["service-1", "service-201"]) expect((await holding(id))?.nodeId).toBe(A.id);
    expect(await nodes.bury(A.id, ALLOWANCE, false)).toBe(odd.length);
  });

  describe("of whom a commit writes", () => {
    it("ends with a new lease", async () => {
      const { nodes, holding, write } = await nodesOf({});
      await nodes.join(A);
      await nodes.hold(A.id, { claims: [claim()], releases: [] });
      await write({ leaseId: "service-1.2.secret", generation: 2n, leaseExpiresAt: 30_000 });
      expect(await holding()).toMatchObject({ nodeId: undefined, lapsesAt: 30_000 });
    });

    it("stays with the same lease, with its holder or when it lapses", async () => {
      const { nodes, holding, write } = await nodesOf({});
      await nodes.join(A);
      await nodes.hold(A.id, { claims: [claim()], releases: [] });
      await write({ status: "degraded", statusReason: "disk" });
      expect((await holding())?.nodeId).toBe(A.id);
      await nodes.hold(A.id, { claims: [], releases: [release()] });
      await write({ status: "online" });
      expect(await holding()).toMatchObject({ nodeId: undefined, lapsesAt: 7_000 });
    });
  });
});

describePostgres("what is due", () => {
  it("is whoever should be OFFLINE by now and is held by nobody, the oldest first", async () => {
    const { nodes, setTime } = await nodesOf(
      { id: "expired", leaseExpiresAt: 900 },
      { id: "to the moment", leaseExpiresAt: 1_000 },
      { id: "not yet", leaseExpiresAt: 1_000.5 },
      { id: "held", leaseExpiresAt: 100 },
      { id: "released", leaseExpiresAt: 5_000 },
      { id: "released late", leaseExpiresAt: 100 },
      { id: "ended", leaseExpiresAt: 100, leaseActive: false },
      { id: "offline", leaseExpiresAt: 100, status: "offline" },
      { id: "says so", leaseExpiresAt: 950, status: "offline", saidOffline: true },
    );
    await nodes.join(A);
    const released = ["released", "released late"];
    await nodes.hold(A.id, { claims: [...released, "held"].map((id) => claim(id)), releases: [] });
    await nodes.hold(A.id, {
      claims: [],
      releases: [
        { ...release("released"), lapsesAt: 500 },
        { ...release("released late"), lapsesAt: 2_000 },
      ],
    });
    await setTime(1_000);
    const due = await nodes.due();
    expect(due.map(({ serviceId }) => serviceId)).toEqual([
      "released",
      "expired",
      "says so",
      "to the moment",
    ]);
    expect(due[0]?.holding).toEqual({
      leaseId: LEASE,
      nodeId: undefined,
      lapsesAt: 500,
      leaseExpiresAt: 9_000,
      lastSeenAt: 1_767_225_600_007,
    });
    expect(due[1]?.holding).toMatchObject({ lapsesAt: 900, leaseExpiresAt: 900 });
  });

  it("is a part of it if it is much", async () => {
    const { nodes, setTime } = await nodesOf(
      ...Array.from({ length: 520 }, (_, i) => ({ id: `service-${i}`, leaseExpiresAt: 520 - i })),
    );
    await setTime(1_000);
    const due = await nodes.due();
    expect(due).toHaveLength(500);
    expect([due[0]?.serviceId, due[499]?.serviceId]).toEqual(["service-519", "service-20"]);
  });
});
