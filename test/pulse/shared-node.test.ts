import { beforeEach, describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../src/store/store.js";
import { RecordingStream } from "../support/fleet.js";
import { FleetNode } from "../support/fleet-node.js";
import { ManualClock } from "../support/manual-clock.js";
import { SharedDatabase } from "../support/shared-memory-store.js";

let clock: ManualClock;
let database: SharedDatabase;
let a: FleetNode;
let b: FleetNode;
let c: FleetNode;
beforeEach(async () => {
  clock = new ManualClock();
  database = new SharedDatabase(clock);
  a = await FleetNode.start(clock, database);
  b = await FleetNode.start(clock, database);
  c = await FleetNode.start(clock, database);
});

const reasons = () => database.commits.map(({ reason }) => reason);
const idOf = (node: FleetNode) => [...database.nodes.keys()][[a, b, c].indexOf(node)];
const holdingOf = (id: string) => database.holdingOf(id);
const everywhere = (n: number) => [a, b, c].map((node) => node.status(n));

/** Registers instance 1 at a, with its stream there. */
async function attached(ttlMs = 15_000) {
  const service = await a.register(1, { ttlMs });
  const stream = new RecordingStream();
  await a.beat(service.leaseId, stream);
  await clock.advance(100);
  return { ...service, stream };
}
/** Heartbeats at a node for `ms`, one a second. */
async function beats(node: FleetNode, leaseId: string, stream: RecordingStream, ms: number) {
  for (let passed = 0; passed < ms; passed += 1_000) {
    await node.beat(leaseId, stream);
    await clock.advance(1_000);
  }
}

describe("a lease that a node holds", () => {
  it("is claimed as its stream opens, and renewing it writes nothing", async () => {
    const { id, leaseId, stream } = await attached();
    expect(holdingOf(id)?.nodeId).toBe(idOf(a));
    a.store.uses.length = 0;
    await beats(a, leaseId, stream, 30_000);
    expect(a.store.uses.filter((use) => use === "hold" || use === "commit")).toEqual([]);
    expect(everywhere(1)).toEqual(Array(3).fill("online: registered"));
  });

  it("lapses at its TTL by that node, once", async () => {
    const { stream, leaseId } = await attached();
    await clock.advance(16_000);
    expect(everywhere(1)).toEqual(Array(3).fill("offline: expired"));
    expect(reasons()).toEqual(["registered", "expired"]);
    expect(stream.lost).toEqual([[leaseId, "expired"]]);
    expect(a.store.uses).toContain("commit");
  });

  it("is not let lapse by a node that holds it no more, though it is silent there", async () => {
    const { id, leaseId } = await attached();
    const stream = new RecordingStream(); // a does not notice that the first one is dead
    await beats(b, leaseId, stream, 40_000);
    expect(holdingOf(id)?.nodeId).toBe(idOf(b));
    expect(reasons()).toEqual(["registered"]);
  });

  it("is superseded wherever its stream is", async () => {
    const { leaseId, stream } = await attached();
    await b.register(1);
    await clock.advance(100);
    expect(stream.lost).toEqual([[leaseId, "superseded"]]);
    expect(await a.beat(leaseId)).toEqual({ kind: "lost", reason: "superseded" });
  });
});

describe("a stream that breaks", () => {
  it("leaves its instance the grace to appear anywhere, and then it is OFFLINE, once, with its last sign of life", async () => {
    const { id, leaseId, stream, lastSeenAt } = await attached();
    a.engine.leases.streamBroke(stream, [leaseId]);
    await clock.advance(2_500);
    expect(holdingOf(id)?.nodeId).toBeUndefined();
    expect(reasons()).toEqual(["registered"]);
    await clock.advance(2_000);
    expect(reasons()).toEqual(["registered", "disconnected"]);
    expect(everywhere(1)).toEqual(Array(3).fill("offline: disconnected"));
    expect(database.services.get(id)?.record.lastSeenAt).toBe(lastSeenAt);
  });

  it("is nothing if the instance appears at another node within the grace", async () => {
    const { id, leaseId, stream } = await attached();
    a.engine.leases.streamBroke(stream, [leaseId]);
    await clock.advance(1_000);
    await beats(b, leaseId, new RecordingStream(), 20_000);
    expect(holdingOf(id)?.nodeId).toBe(idOf(b));
    expect(reasons()).toEqual(["registered"]);
  });

  it("takes nothing from the node that has the instance by now", async () => {
    const { id, leaseId, stream } = await attached();
    const next = new RecordingStream();
    await b.beat(leaseId, next);
    await clock.advance(100);
    a.engine.leases.streamBroke(stream, [leaseId]);
    await beats(b, leaseId, next, 10_000);
    expect(holdingOf(id)?.nodeId).toBe(idOf(b));
    expect(reasons()).toEqual(["registered"]);
  });
});

describe("an instance that is OFFLINE and returns", () => {
  async function disconnected() {
    const service = await attached();
    a.engine.leases.streamBroke(service.stream, [service.leaseId]);
    await clock.advance(5_000);
    expect(a.status(1)).toBe("offline: disconnected");
    return service;
  }

  it("is ONLINE once the others know where it is, and not turned OFFLINE again by one that does not", async () => {
    const { leaseId } = await disconnected();
    const hold = b.store.hold.bind(b.store);
    b.store.hold = () => Promise.reject(new StoreUnavailableError("the claim has to wait"));
    await b.beat(leaseId);
    await clock.advance(200);
    b.store.hold = hold;
    expect(b.status(1)).toBe("offline: disconnected");
    await clock.advance(3_000);
    expect(everywhere(1)).toEqual(Array(3).fill("online: returned"));
    expect(reasons()).toEqual(["registered", "disconnected", "returned"]);
  });

  it("later than its lease would have lasted is told so by every node", async () => {
    const { leaseId } = await disconnected();
    await clock.advance(12_000);
    for (const node of [a, b, c])
      expect(await node.beat(leaseId)).toEqual({ kind: "lost", reason: "expired" });
    expect(reasons()).toEqual(["registered", "disconnected"]);
  });
});

describe("an instance that says that it is OFFLINE", () => {
  const REASON = "download client does not answer";
  async function saysOffline() {
    const service = await attached();
    await a.beat(service.leaseId, service.stream, { status: "offline", statusReason: REASON });
    await clock.advance(1_500);
    expect(everywhere(1)).toEqual(Array(3).fill(`offline: ${REASON}`));
    return service;
  }

  it("is held by its node, for as long as it heartbeats there", async () => {
    const { id, leaseId, stream } = await saysOffline();
    await beats(a, leaseId, stream, 60_000);
    expect(holdingOf(id)?.nodeId).toBe(idOf(a));
    expect(everywhere(1)).toEqual(Array(3).fill(`offline: ${REASON}`));
    expect(reasons()).toEqual(["registered", "status reported"]);
  });

  it.each(["leaves it", "stays with one that is killed"])(
    "is the same at the node that it comes to, if it %s",
    async (how) => {
      const { id, leaseId, stream } = await saysOffline();
      const next = idOf(b);
      if (how === "leaves it") a.engine.leases.streamBroke(stream, [leaseId]);
      else a.kill();
      await clock.advance(10_000);
      await beats(b, leaseId, new RecordingStream(), 40_000);
      expect(holdingOf(id)?.nodeId).toBe(next);
      expect([b, c].map((node) => node.status(1))).toEqual(Array(2).fill(`offline: ${REASON}`));
      expect(reasons()).toEqual(["registered", "status reported"]);
      await b.beat(leaseId, new RecordingStream(), { status: "online" });
      await clock.advance(1_500);
      expect(c.status(1)).toBe("online: recovered");
    },
  );

  it.each(["its stream breaks", "it is silent", "its node is killed"])(
    "expires once if %s and nobody hears of it again",
    async (how) => {
      const { leaseId, stream } = await saysOffline();
      if (how === "its stream breaks") a.engine.leases.streamBroke(stream, [leaseId]);
      if (how === "its node is killed") a.kill();
      await clock.advance(12_000);
      expect(b.status(1)).toBe(`offline: ${REASON}`);
      await clock.advance(20_000);
      expect([b, c].map((node) => node.status(1))).toEqual(Array(2).fill("offline: expired"));
      expect(reasons()).toEqual(["registered", "status reported", "expired"]);
      expect(await b.beat(leaseId)).toEqual({ kind: "lost", reason: "expired" });
    },
  );
});

describe("when the credentials of an instance were last accepted", () => {
  it("is known to the other nodes before long, and to the one that it registers with next", async () => {
    const { id, leaseId, stream } = await attached();
    await a.beat(leaseId, stream, { isVerified: true });
    const at = clock.wallNow();
    await clock.advance(6_000);
    const record = (node: FleetNode) => node.engine.registry.catalog.service(id);
    const known = (node: FleetNode) => {
      const service = record(node);
      return service && node.engine.leases.verifiedAt(service);
    };
    expect([a, b, c].map(known)).toEqual([at, at, at]);
    expect(reasons()).toEqual(["registered"]);
    await b.register(1);
    await clock.advance(1_500);
    expect([a, b, c].map((node) => record(node)?.verifiedAt)).toEqual([at, at, at]);
  });
});

describe("what an instance says of itself", () => {
  it("is known to the node that it comes to next", async () => {
    const { leaseId, stream } = await attached();
    await a.beat(leaseId, stream, { status: "degraded", statusReason: "full" });
    await clock.advance(1_500);
    await b.beat(leaseId);
    await clock.advance(100);
    expect(everywhere(1)).toEqual(Array(3).fill("degraded: full"));
    expect(b.engine.leases.byId(leaseId)?.reported).toEqual({ status: "degraded", reason: "full" });
  });
});

describe("goodbye", () => {
  it("that cannot be written leaves the lease to run out, and does not keep it for ever", async () => {
    const { leaseId } = await attached();
    a.store.failWrites = true;
    await expect(a.engine.leases.goodbye(leaseId)).rejects.toThrow();
    a.store.failWrites = false;
    await clock.advance(20_000);
    expect(everywhere(1)).toEqual(Array(3).fill("offline: disconnected"));
  });
});

describe("a node that is killed", () => {
  it("loses nobody who finds another within the TTL, and who does not is OFFLINE after it", async () => {
    const { leaseId } = await attached();
    const other = await a.register(2);
    const [stream, next] = [new RecordingStream(), new RecordingStream()];
    await a.beat(other.leaseId, stream);
    await clock.advance(100);
    a.kill();
    await clock.advance(14_000);
    await beats(b, leaseId, next, 30_000);
    expect(b.status(1)).toBe("online: registered");
    expect(b.status(2)).toBe("offline: expired");
    expect(reasons()).toEqual(["registered", "registered", "expired"]);
  });
});

describe("a node that is cut off", () => {
  it("acknowledges for 5 s and half a TTL, and takes no new instance after 3 s", async () => {
    const { leaseId, stream } = await attached();
    await clock.advance(900);
    a.store.isCutOff = true;
    await clock.advance(3_500);
    expect((await a.beat(leaseId, stream)).kind).toBe("renewed");
    await expect(a.beat(leaseId)).rejects.toThrow(/database cannot be used/);
    await clock.advance(8_000);
    expect((await a.beat(leaseId, stream)).kind).toBe("renewed");
    await clock.advance(1_500);
    await expect(a.beat(leaseId, stream)).rejects.toThrow(/database cannot be used/);
  });

  it("takes back none by itself when it is there again, but those that still heartbeat there", async () => {
    const [one, two] = [await attached(), await a.register(2)];
    const streams = [one.stream, new RecordingStream()] as const;
    await a.beat(two.leaseId, streams[1]);
    await clock.advance(100);
    a.store.isCutOff = true;
    await clock.advance(8_000);
    const next = new RecordingStream();
    await b.beat(one.leaseId, next); // and a does not notice
    a.store.isCutOff = false;
    await clock.advance(2_000);
    for (let i = 0; i < 20; i++) {
      await b.beat(one.leaseId, next);
      await a.beat(two.leaseId, streams[1]);
      await clock.advance(1_000);
    }
    expect(holdingOf(one.id)?.nodeId).not.toBe(holdingOf(two.id)?.nodeId);
    expect(reasons()).toEqual(["registered", "registered"]);
  });
});

describe("with the database away", () => {
  it("nobody lapses, however long, and all go on after it", async () => {
    const { leaseId, stream } = await attached();
    await a.register(2); // nobody holds it
    database.isDown = true;
    await beats(a, leaseId, stream, 10_000);
    await clock.advance(120_000);
    expect([a.status(1), a.status(2)]).toEqual(Array(2).fill("online: registered"));
    database.isDown = false;
    await clock.advance(2_000);
    await beats(a, leaseId, stream, 10_000);
    expect(reasons()).toEqual(["registered", "registered"]);
    await beats(a, leaseId, stream, 10_000);
    expect([a.status(1), a.status(2)]).toEqual(["online: registered", "offline: expired"]);
  });
});

it("a backup that is restored under running nodes keeps nobody ONLINE who is gone", async () => {
  const { leaseId, stream } = await attached();
  const restore = database.backUp();
  a.engine.leases.streamBroke(stream, [leaseId]);
  await clock.advance(30_000);
  expect(a.status(1)).toBe("offline: disconnected");
  await b.register(2, { ttlMs: 60_000 });
  restore();
  await clock.advance(5_000);
  expect(everywhere(1)).toEqual(Array(3).fill("online: registered"));
  await clock.advance(25_000);
  expect(everywhere(1)).toEqual(Array(3).fill("offline: expired"));
});

it("a stop sets the instances free with their time, and leaves no timer and no row", async () => {
  const { id, leaseId } = await attached();
  await a.stop();
  expect(database.nodes.size).toBe(2);
  expect(holdingOf(id)?.nodeId).toBeUndefined();
  await clock.advance(10_000);
  await beats(b, leaseId, new RecordingStream(), 20_000);
  expect(reasons()).toEqual(["registered"]);
  await b.stop();
  await c.stop();
  expect(clock.pending).toBe(0);
});
