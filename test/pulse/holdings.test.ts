import { beforeEach, describe, expect, it } from "vitest";
import { createHoldings, type Holdings } from "../../src/pulse/holdings.js";
import type { LiveLease } from "../../src/pulse/live-lease.js";
import { type HoldingChanges, StoreUnavailableError } from "../../src/store/store.js";
import { serviceRecord } from "../store/sample-records.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";
import { SharedDatabase, type SharedMemoryStore } from "../support/shared-memory-store.js";

const GRACE_MS = 3_000;

let clock: ManualClock;
let store: SharedMemoryStore;
let holdings: Holdings;
let log: ReturnType<typeof recordingLog>;
let nodeId: string;
let isOurFault: boolean;
let claimed: string[];
/** What was written, in order. */
let written: { nodeId: string; changes: HoldingChanges }[];
beforeEach(() => {
  clock = new ManualClock();
  store = new SharedDatabase(clock).open();
  log = recordingLog();
  nodeId = "a";
  isOurFault = false;
  claimed = [];
  written = [];
  const hold = store.hold.bind(store);
  store.hold = async (id, changes) => {
    await hold(id, changes);
    written.push({ nodeId: id, changes });
  };
  holdings = createHoldings({
    shared: store,
    nodeId: () => nodeId,
    registryNow: () => 100_000,
    graceMs: GRACE_MS,
    isOurFault: () => isOurFault,
    onClaimed: (leaseId) => void claimed.push(leaseId),
    clock,
    log,
  });
});

function lease(n: number, change: Partial<LiveLease> = {}): LiveLease {
  const record = serviceRecord({ id: `s${n}`, leaseId: `s${n}.1.x`, ttlMs: 10_000 });
  const [expiresAt, lastSeenAt] = [110_000, 7];
  return { record, expiresAt, lastSeenAt, ...change } as LiveLease;
}
const claims = () => written.map(({ changes }) => changes.claims.map(({ serviceId }) => serviceId));
const releases = () => written.flatMap(({ changes }) => changes.releases);

describe("what a node says of its instances", () => {
  it("goes together into one transaction, and then it is theirs", async () => {
    for (const n of [1, 2, 3]) holdings.claim(lease(n));
    expect(claimed).toEqual([]);
    await clock.advance(10);
    expect(claims()).toEqual([["s1", "s2", "s3"]]);
    expect(claimed).toEqual(["s1.1.x", "s2.1.x", "s3.1.x"]);
    expect(clock.pending).toBe(0);
  });

  it("is the last word alone", async () => {
    holdings.claim(lease(1));
    holdings.release(lease(1));
    holdings.release(lease(2));
    holdings.claim(lease(2));
    await clock.advance(10);
    expect(claims()).toEqual([["s2"]]);
    expect(releases().map(({ serviceId }) => serviceId)).toEqual(["s1"]);
  });

  it("comes in transactions of at most 1,024", async () => {
    for (let n = 0; n < 1_500; n++) holdings.claim(lease(n));
    await clock.advance(20);
    expect(claims().map(({ length }) => length)).toEqual([1_024, 476]);
  });

  it("is said again until it can be written, but not what was overtaken meanwhile", async () => {
    store.isCutOff = true;
    holdings.claim(lease(1));
    holdings.claim(lease(2));
    await clock.advance(10);
    holdings.release(lease(1));
    await clock.advance(2_000);
    expect([written, claimed]).toEqual([[], []]);
    store.isCutOff = false;
    await clock.advance(500);
    expect(claims()).toEqual([["s2"]]);
    expect(releases()).toHaveLength(1);
    expect(log.lines).toEqual([]); // whoever watches the store says so
  });

  it("is logged if it fails through a bug, and said again", async () => {
    store.errors.push(new TypeError("a bug"));
    holdings.claim(lease(1));
    await clock.advance(600);
    expect(log.lines.map(({ msg }) => msg)).toEqual(["holdings.failed"]);
    expect(claims()).toEqual([["s1"]]);
  });

  it("is void once the others took it for dead: they may have its instances by now", async () => {
    store.errors.push(new StoreUnavailableError("away"));
    holdings.claim(lease(1));
    await clock.advance(100);
    nodeId = "b";
    holdings.claim(lease(2));
    await clock.advance(1_000);
    expect(written).toMatchObject([{ nodeId: "b", changes: { claims: [{ serviceId: "s2" }] } }]);
    expect(claimed).toEqual(["s2.1.x"]);
  });
});

describe("an instance that is given up", () => {
  it("has the grace, but not more than what is left of its lease", async () => {
    holdings.release(lease(1));
    holdings.release(lease(2, { expiresAt: 101_000 }));
    await clock.advance(10);
    expect(releases()).toMatchObject([
      { serviceId: "s1", leaseId: "s1.1.x", lapsesAt: 103_000, leaseExpiresAt: 110_000 },
      { serviceId: "s2", lapsesAt: 101_000, leaseExpiresAt: 101_000, lastSeenAt: 7 },
    ]);
  });

  it("and says that it is OFFLINE has the whole of its lease: managers know", async () => {
    const { record, ...rest } = lease(1);
    holdings.release({ ...rest, record: { ...record, status: "offline", saidOffline: true } });
    await clock.advance(10);
    expect(releases()).toMatchObject([{ lapsesAt: 110_000, leaseExpiresAt: 110_000 }]);
  });

  it("through our fault has its TTL, or as long as clients wait, and the grace", async () => {
    isOurFault = true;
    const [short, long] = [lease(1), lease(2)];
    holdings.release(short);
    holdings.release({ ...long, record: { ...long.record, ttlMs: 60_000 } });
    await clock.advance(10);
    expect(releases()).toMatchObject([
      { lapsesAt: 123_000, leaseExpiresAt: 123_000 },
      { lapsesAt: 163_000, leaseExpiresAt: 163_000 },
    ]);
  });
});

it("a stop forgets what is not written, and writes nothing more", async () => {
  holdings.claim(lease(1));
  await holdings.stop();
  holdings.release(lease(2));
  await clock.advance(1_000);
  expect(written).toEqual([]);
  expect(clock.pending).toBe(0);
});

it("a stop waits for what is under way", async () => {
  let end = () => {};
  store.hold = () =>
    new Promise((resolve) => {
      end = resolve;
    });
  holdings.claim(lease(1));
  await clock.advance(10);
  let isStopped = false;
  const stopped = holdings.stop().then(() => {
    isStopped = true;
  });
  await clock.advance(10);
  expect(isStopped).toBe(false);
  end();
  await stopped;
});
