import { beforeEach, describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { startFollowing } from "../../src/pulse/following.js";
import type { Registry } from "../../src/pulse/registry.js";
import type { SharedStore } from "../../src/store/store.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
let hint: () => void;
let refreshes: number;
let stops: number;
let failure: Error | undefined;
beforeEach(() => {
  clock = new ManualClock();
  log = recordingLog();
  hint = () => {};
  refreshes = 0;
  stops = 0;
  failure = undefined;
});

function start() {
  const shared: Pick<SharedStore, "listen"> = {
    listen(onHint) {
      hint = onHint;
      return { stop: async () => void stops++ };
    },
  };
  const registry: Pick<Registry, "refresh"> = {
    async refresh() {
      refreshes++;
      if (failure) throw failure;
    },
  };
  return startFollowing({
    registry: registry as Registry,
    shared: shared as SharedStore,
    clock,
    log,
  });
}

describe("who follows other nodes", () => {
  it("does so at once on a hint", () => {
    start();
    hint();
    expect(refreshes).toBe(1);
  });

  it("asks once for all that is hinted at within 10 ms, and misses none of it", async () => {
    start();
    hint();
    for (let ms = 0; ms < 9; ms++) {
      hint();
      await clock.advance(1);
    }
    expect(refreshes).toBe(1);
    await clock.advance(1);
    expect(refreshes).toBe(2);
    await clock.advance(100);
    expect(refreshes).toBe(2);
    hint();
    expect(refreshes).toBe(3);
  });

  it("finds out within a second what no hint told", async () => {
    start();
    await clock.advance(3_000);
    expect(refreshes).toBe(3);
  });

  it("goes on while the store is away, of which others tell, and says what is a bug", async () => {
    start();
    failure = new DomainError("away", { kind: "store-unavailable", retryAfterMs: 1 });
    await clock.advance(2_000);
    expect([refreshes, log.lines]).toEqual([2, []]);
    failure = new Error("a bug");
    await clock.advance(1_000);
    await settle();
    expect(log.lines.map(({ msg }) => msg)).toEqual(["registry.not_followed"]);
  });

  it("leaves nothing behind", async () => {
    const following = start();
    hint();
    hint();
    await following.stop();
    await clock.advance(5_000);
    expect([refreshes, stops]).toEqual([1, 1]);
  });
});
