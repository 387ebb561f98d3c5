import { beforeEach, describe, expect, it } from "vitest";
import type { Actor } from "../../src/core/audit.js";
import { type AuditRecorder, createAuditRecorder } from "../../src/pulse/audit-recorder.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { ManualClock } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";

const actor = (change: Partial<Actor> = {}): Actor => ({
  tokenId: "t1",
  tokenName: "tv",
  address: "192.0.2.1",
  ...change,
});
const DOWN = new StoreUnavailableError("the disk is full");

let clock: ManualClock;
let store: MemoryStore;
let log: ReturnType<typeof recordingLog>;
let recorder: AuditRecorder;
beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore();
  log = recordingLog();
  recorder = createAuditRecorder({ store, clock, log });
});

const written = () =>
  store.audit.entries.map(
    ({ action, address, subjectId, detail, count }) =>
      `${action} ${address} ${subjectId} ${detail} ×${count}`,
  );
const errors = () => log.lines.filter(({ level }) => level === "error").map(({ msg }) => msg);
const refuse = (address: string) =>
  recorder.record({
    actor: { tokenId: "", tokenName: "", address },
    action: "refused",
    subject: "",
    detail: "ListTokens: TOKEN_INVALID",
  });

describe("what changes nothing", () => {
  it("is in the store a second later, and equal calls are one entry with their number", async () => {
    const at = clock.wallNow();
    recorder.recordRead(actor(), ["haul", "nas"]);
    await clock.advance(400);
    recorder.recordRead(actor(), ["haul", "nas"]);
    recorder.recordRead(actor(), ["haul"], "entry-1");
    recorder.recordRead(actor({ address: "192.0.2.2" }), ["haul"]);
    recorder.recordRead(actor({ tokenId: "t2" }), ["haul"]);
    await clock.advance(599);
    expect(written()).toEqual([]);
    await clock.advance(1);
    expect(written()).toEqual([
      'credentials read 192.0.2.1  4 entries: "haul", "nas" ×2',
      'credentials read 192.0.2.1 entry-1 1 entry: "haul" ×1',
      'credentials read 192.0.2.2  1 entry: "haul" ×1',
      'credentials read 192.0.2.1  1 entry: "haul" ×1',
    ]);
    expect(store.audit.entries[0]).toMatchObject({
      at,
      subject: "download-client",
      tokenName: "tv",
    });
    expect(store.audit.entries[1]?.subjectName).toBe("haul");
    recorder.recordRead(actor(), ["haul"]);
    await clock.advance(1_000);
    expect(written()).toHaveLength(5);
    expect(clock.pending).toBe(0);
  });

  it("names what was read as long as that is little", async () => {
    recorder.recordRead(
      actor(),
      Array.from({ length: 20 }, (_, i) => `${i}`),
    );
    recorder.recordRead(
      actor({ tokenId: "t2" }),
      Array.from({ length: 21 }, (_, i) => `${i}`),
    );
    await clock.advance(1_000);
    expect(written()[0]).toMatch(/ 20 entries: "0", .*"19" ×1$/);
    expect(written()[1]).toBe("credentials read 192.0.2.1  21 entries ×1");
  });

  it("that comes while the store writes is written as well, also at the stop", async () => {
    recorder.recordRead(actor(), ["haul"]);
    await clock.advance(500);
    const { appendAudit } = store;
    store.appendAudit = async (entries) => {
      recorder.record({ actor: actor(), action: "entry tested", subject: "download-client" });
      store.appendAudit = appendAudit;
      await appendAudit.call(store, entries);
    };
    await recorder.stop();
    expect(store.audit.entries.map(({ action }) => action)).toEqual([
      "credentials read",
      "entry tested",
    ]);
    expect(clock.pending).toBe(0);
    expect(errors()).toEqual([]);
  });
});

describe("a flood of refused calls", () => {
  it("from one address is one entry a second", async () => {
    for (let i = 0; i < 5_000; i++) refuse("192.0.2.66");
    await clock.advance(1_000);
    expect(written()).toEqual(["refused 192.0.2.66  ListTokens: TOKEN_INVALID ×5000"]);
  });

  it("from many has some entries, and one that counts the others", async () => {
    for (let i = 0; i < 500; i++) for (let n = 0; n < 2; n++) refuse(`10.0.0.${i}`);
    recorder.recordRead(actor(), ["haul"]);
    await clock.advance(1_000);
    expect(written()).toHaveLength(22);
    expect(written()[20]).toBe("refused   more calls, of others ×960");
    const calls = store.audit.entries.reduce((sum, { count }) => sum + count, 0);
    expect(calls).toBe(1_001);
    refuse("10.0.0.499");
    await clock.advance(1_000);
    expect(written().at(-1)).toMatch(/^refused 10.0.0.499 .* ×1$/);
  });
});

describe("while the store cannot be written", () => {
  it("everything waits, and comes in its order once it can", async () => {
    store.failure = DOWN;
    for (let second = 0; second < 5; second++) {
      recorder.recordRead(actor({ tokenId: `t${second}` }), ["haul"]);
      await clock.advance(1_000);
    }
    expect(written()).toEqual([]);
    store.failure = undefined;
    await clock.advance(1_000);
    expect(store.audit.entries.map(({ tokenId }) => tokenId)).toEqual([
      "t0",
      "t1",
      "t2",
      "t3",
      "t4",
    ]);
    expect(errors()).toEqual([]);
  });

  it("no more waits than a bound, and what did not find room is counted, in the log too", async () => {
    store.failure = DOWN;
    for (let i = 0; i < 10_025; i++) recorder.recordRead(actor({ tokenId: `t${i}` }), ["haul"]);
    await clock.advance(1_000);
    recorder.recordRead(actor({ tokenId: "late" }), ["haul"]);
    await clock.advance(1_000);
    expect(errors()).toEqual(["audit.entries_dropped: too many wait for the database"]);
    store.failure = undefined;
    await clock.advance(1_000);
    expect(store.audit.entries).toHaveLength(10_000);
    const noted = store.audit.entries.filter(({ detail }) => detail.includes("26 more calls"));
    expect(noted).toHaveLength(1);
    expect(log.lines.at(-1)).toMatchObject({ msg: "audit.entries_lost", fields: { calls: 26 } });
    recorder.recordRead(actor(), ["haul"]);
    await clock.advance(1_000);
    expect(written().at(-1)).toBe('credentials read 192.0.2.1  1 entry: "haul" ×1');
  });

  it("a stop says what is lost", async () => {
    store.failure = DOWN;
    recorder.recordRead(actor(), ["haul"]);
    await recorder.stop();
    expect(log.lines.at(-1)).toMatchObject({ msg: "audit.entries_lost", fields: { entries: 1 } });
    expect(clock.pending).toBe(0);
  });
});

it("what the store refuses for ever does not keep the rest from being written", async () => {
  store.failure = new Error("a bug");
  recorder.recordRead(actor(), ["haul"]);
  await clock.advance(1_000);
  expect(errors()).toContain("audit.not_written");
  store.failure = undefined;
  recorder.recordRead(actor(), ["nas"]);
  await clock.advance(1_000);
  expect(written()).toEqual([
    'credentials read 192.0.2.1  1 entry: "nas"; 1 more calls could not be written down here ×1',
  ]);
});
