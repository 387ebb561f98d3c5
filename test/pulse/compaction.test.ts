import { beforeEach, describe, expect, it } from "vitest";
import { type Compaction, startCompaction } from "../../src/pulse/compaction.js";
import { History } from "../../src/pulse/history.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { commitOf } from "../store/sample-records.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";

const MINUTE = 60_000;
const POLICY = { maxCommits: 10, maxAgeMs: 10 * MINUTE };
/** A tenth and a hundred more than may be kept, and one. */
const OVERFULL = 112;

let clock: ManualClock;
let store: MemoryStore;
let history: History;
let compaction: Compaction;
let log: ReturnType<typeof recordingLog>;
beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore();
  log = recordingLog();
  history = new History({ epoch: "e", revision: 0n, stamp: "", history: [] }, POLICY);
  compaction = startCompaction({ history, store, clock, log });
});

/** Commits as the server does. */
function commit(count: number): void {
  for (let i = 0; i < count; i++) {
    const revision = history.point.revision + 1n;
    history.append({ ...commitOf(revision, {}), at: clock.wallNow() }, []);
    compaction.afterCommit();
  }
}
const compacted = () => [history.compactedRevision, store.compactedRevision];

it("what is too much goes within a minute, from memory and then from the store", async () => {
  commit(25);
  await clock.advance(MINUTE - 1);
  expect(compacted()).toEqual([0n, 0n]);
  await clock.advance(1);
  expect(compacted()).toEqual([15n, 15n]);
});

it("what is too old goes as well, by the wall clock", async () => {
  commit(3);
  await clock.advance(5 * MINUTE);
  commit(3);
  await clock.advance(5 * MINUTE + 1);
  expect(compacted()).toEqual([0n, 0n]);
  await clock.advance(MINUTE);
  expect(compacted()).toEqual([3n, 3n]);
  await clock.advance(60 * MINUTE);
  expect(compacted()).toEqual([6n, 6n]);
});

it("far too much goes at once, and not with each commit", async () => {
  const asked: bigint[] = [];
  const compact = store.compact.bind(store);
  store.compact = (revision) => {
    asked.push(revision);
    return compact(revision);
  };
  commit(OVERFULL - 1);
  expect(history.compactedRevision).toBe(0n);
  commit(1);
  expect(history.compactedRevision).toBe(102n);
  commit(50);
  await settle();
  expect(asked).toEqual([102n]);
});

it("while the store is at it, what comes meanwhile waits for the next compaction", async () => {
  let finish = () => {};
  const asked: bigint[] = [];
  store.compact = async (revision) => {
    asked.push(revision);
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
  };
  commit(2 * OVERFULL);
  await settle();
  expect(asked).toEqual([102n]);
  await clock.advance(MINUTE);
  expect(asked).toEqual([102n]);
  finish();
  await settle();
  commit(1);
  expect(asked).toEqual([102n, 215n]);
});

describe("a store that fails", () => {
  it("is forgiven, and catches up with the next compaction", async () => {
    store.failure = new StoreUnavailableError("the disk is full");
    commit(25);
    await clock.advance(MINUTE);
    expect(compacted()).toEqual([15n, 0n]);
    store.failure = undefined;
    commit(1);
    await clock.advance(MINUTE);
    expect(compacted()).toEqual([16n, 16n]);
    expect(log.lines.filter(({ level }) => level !== "debug")).toEqual([]); // watched-store.ts says it
  });

  it("by a bug is logged", async () => {
    const failure = new TypeError("a bug");
    store.failure = failure;
    commit(25);
    await clock.advance(MINUTE);
    expect(log.lines).toEqual([
      { level: "error", msg: "history.compaction_failed", fields: { err: failure } },
    ]);
  });
});

describe("stopped", () => {
  it("it waits for what runs, and leaves no timer", async () => {
    let finish = () => {};
    store.compact = () =>
      new Promise<void>((resolve) => {
        finish = resolve;
      });
    commit(OVERFULL);
    await settle();
    let isStopped = false;
    const stopping = compaction.stop().then(() => {
      isStopped = true;
    });
    await settle();
    expect(isStopped).toBe(false);
    finish();
    await stopping;
    expect(clock.pending).toBe(0);
  });

  it("it begins nothing more, whatever is still committed", async () => {
    await compaction.stop();
    commit(OVERFULL);
    await clock.advance(MINUTE);
    expect(compacted()).toEqual([0n, 0n]);
  });
});
