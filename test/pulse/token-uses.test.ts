import { beforeEach, expect, it } from "vitest";
import {
  startTokenUses,
  type TokenUses,
  USE_FLUSH_INTERVAL_MS,
} from "../../src/pulse/token-uses.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { ManualClock } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";

let clock: ManualClock;
let store: MemoryStore;
let uses: TokenUses;
const log = recordingLog();
beforeEach(() => {
  clock = new ManualClock(0, 0);
  store = new MemoryStore();
  uses = startTokenUses({ store, clock, log });
});

it("a use is known at once, and written with the others within half a minute", async () => {
  uses.note("one");
  await clock.advance(10_000);
  uses.note("one");
  uses.note("two");
  expect(await uses.all()).toEqual(
    new Map([
      ["one", 10_000],
      ["two", 10_000],
    ]),
  );
  expect(store.uses.size).toBe(0);
  await clock.advance(USE_FLUSH_INTERVAL_MS);
  expect(store.uses).toEqual(
    new Map([
      ["one", 10_000],
      ["two", 10_000],
    ]),
  );
  expect(store.commits).toEqual([]);
});

it("what another Pulse has written later counts, and what it has written before does not", async () => {
  await clock.advance(5_000);
  uses.note("one");
  uses.note("two");
  await store.noteTokenUses([
    { tokenId: "one", usedAt: 9_000 },
    { tokenId: "two", usedAt: 1_000 },
    { tokenId: "three", usedAt: 2_000 },
  ]);
  expect(await uses.all()).toEqual(
    new Map([
      ["one", 9_000],
      ["two", 5_000],
      ["three", 2_000],
    ]),
  );
  await uses.stop();
  expect(store.uses.get("one")).toBe(9_000);
});

it("what could not be written is written later, and at the end", async () => {
  uses.note("one");
  store.failure = new StoreUnavailableError("full");
  await clock.advance(USE_FLUSH_INTERVAL_MS);
  expect(await uses.all()).toEqual(new Map([["one", 0]]));
  store.failure = undefined;
  await uses.stop();
  expect(store.uses).toEqual(new Map([["one", 0]]));
  expect(clock.pending).toBe(0);
  expect(log.lines).toEqual([]);
});
