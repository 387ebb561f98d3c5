import { beforeEach, describe, expect, it } from "vitest";
import { joinNodes, type Membership, mayPromise } from "../../src/pulse/membership.js";
import { serviceCommit } from "../store/sample-records.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import { SharedDatabase } from "../support/shared-memory-store.js";

const ALLOWANCE = { minTtlMs: 20_000, graceMs: 3_000 };

let clock: ManualClock;
let database: SharedDatabase;
beforeEach(() => {
  clock = new ManualClock();
  database = new SharedDatabase(clock);
});

async function join(name: string, seed: number) {
  const store = database.open();
  const log = recordingLog();
  const heard = { times: [] as number[], rejoins: 0, reports: [] as string[] };
  const membership = await joinNodes({
    shared: store,
    name,
    clock,
    random: seededRandom(seed),
    log,
    allowance: () => ALLOWANCE,
    hearTime: (ms) => void heard.times.push(ms),
    onRejoin: () => void heard.rejoins++,
    report: () => `report of ${name}`,
    hearReports: (reports) => void heard.reports.push(...reports),
  });
  return { membership, store, log, heard };
}
const rows = () => [...database.nodes.values()].map(({ name }) => name);
const said = (log: ReturnType<typeof recordingLog>) => log.lines.map(({ msg }) => msg);

/** An instance of this node. */
function hold(membership: Membership) {
  database.write([serviceCommit(1n, { ttlMs: 15_000, lastSeenAt: 0 })]);
  const row = database.services.get("service-1");
  if (row) row.nodeId = membership.nodeId;
  return row;
}

it("a node renews its row every second, and hears what registry time is", async () => {
  const { membership, heard } = await join("a", 1);
  await clock.advance(5_000);
  expect(heard.times).toEqual([0, 1_000, 2_000, 3_000, 4_000, 5_000]);
  expect(membership.sinceRenewalMs).toBe(0);
  await membership.leave();
  expect([rows(), clock.pending]).toEqual([[], 0]);
});

it("a node that starts where none was alive spares whom nobody holds, and says so", async () => {
  const a = await join("a", 1);
  const row = hold(a.membership);
  await a.membership.leave();
  await clock.advance(4_000);
  if (row) row.record = { ...row.record, leaseCredited: false }; // as if it had been heard of
  const b = await join("b", 2);
  expect(said(b.log)).toEqual(["node.spared"]);
  expect(row?.lapsesAt).toBe(1_000 + 20_000 + 3_000);
  const c = await join("c", 3);
  expect(said(c.log)).toEqual([]);
});

it("nodes tell each other now and then what they know", async () => {
  const [a, b] = [await join("a", 1), await join("b", 2)];
  await clock.advance(10_000);
  expect(a.heard.reports).toContain("report of b");
  expect(b.heard.reports).toContain("report of a");
  expect(a.heard.reports).not.toContain("report of a");
});

it("one that is not renewed for 5 s is buried by another, once, and its instances have their time", async () => {
  const [a, b, c] = [await join("a", 1), await join("b", 2), await join("c", 3)];
  const row = hold(a.membership);
  await clock.advance(1_000);
  const seenAt = clock.wallNow();
  a.store.isCutOff = true;
  await clock.advance(5_000);
  expect(rows()).toEqual(["a", "b", "c"]);
  await clock.advance(1_500);
  expect(rows()).toEqual(["b", "c"]);
  expect([said(b.log), said(c.log)].flat()).toEqual(["node.dead"]);
  expect(row?.nodeId).toBeUndefined();
  expect(row?.lapsesAt).toBe(7_000 + 20_000 + 3_000);
  expect(row?.record).toMatchObject({ leaseExpiresAt: row?.lapsesAt, lastSeenAt: seenAt });
});

it("one that was taken for dead joins anew under another id, and knows that it holds nothing", async () => {
  const [a] = [await join("a", 1), await join("b", 2)];
  const before = a.membership.nodeId;
  a.store.isCutOff = true;
  await clock.advance(8_000);
  expect(a.membership.sinceRenewalMs).toBe(8_000);
  a.store.isCutOff = false;
  await clock.advance(1_000);
  expect(a.heard.rejoins).toBe(1);
  expect(a.membership.nodeId).not.toBe(before);
  expect(rows().sort()).toEqual(["a", "b"]);
  expect(said(a.log)).toEqual(["node.rejoined"]);
});

it("registry time stands still while no node can renew its row, and nobody is buried for that", async () => {
  const [a, b] = [await join("a", 1), await join("b", 2)];
  await clock.advance(1_000);
  database.isDown = true;
  await clock.advance(60_000);
  database.isDown = false;
  await clock.advance(1_000);
  expect(database.registryTimeMs).toBeLessThanOrEqual(3_000);
  expect([...said(a.log), ...said(b.log)]).toEqual([]);
});

it("renewals do not wait for what concerns the others", async () => {
  const [a, b] = [await join("a", 1), await join("b", 2)];
  b.store.bury = () => new Promise(() => {}); // somebody holds the database
  a.store.isCutOff = true;
  await clock.advance(20_000);
  expect(b.membership.sinceRenewalMs).toBeLessThanOrEqual(1_000);
});

it("one that starts anew gives its instances free and takes another id", async () => {
  const { membership, heard } = await join("a", 1);
  const row = hold(membership);
  const before = membership.nodeId;
  membership.startAnew();
  await clock.advance(1_000);
  expect(membership.nodeId).not.toBe(before);
  expect([row?.nodeId, heard.rejoins, rows()]).toEqual([undefined, 1, ["a"]]);
});

it("one that leaves gives its instances free; if it cannot, the others find out", async () => {
  const a = await join("a", 1);
  const row = hold(a.membership);
  a.store.isCutOff = true;
  await a.membership.leave();
  expect(said(a.log)).toEqual(["node.left_without_word"]);
  const b = await join("b", 2);
  await clock.advance(7_000);
  expect([row?.nodeId, rows(), said(b.log)]).toEqual([undefined, ["b"], ["node.dead"]]);
});

describe("what a node may promise", () => {
  it.each([
    [5_000, 15_000, true],
    [12_500, 15_000, true],
    [12_501, 15_000, false],
    [7_501, 5_000, false],
  ])("%i ms after its last renewal, for a TTL of %i ms: %s", (sinceMs, ttlMs, may) => {
    expect(mayPromise(sinceMs, ttlMs)).toBe(may);
  });
});
