import { beforeEach, describe, expect, it } from "vitest";
import type { Probe } from "../../src/adapters/adapter.js";
import { type Prober, startProber } from "../../src/haul/prober.js";
import { ManualClock, settle } from "../support/manual-clock.js";

const OK: Probe = { outcome: "ok", message: "", version: "1", load: {}, credentials: "accepted" };
const AWAY: Probe = { outcome: "unreachable", message: "" };
const REFUSED: Probe = { outcome: "authentication-failed", message: "" };

let clock: ManualClock;
/** When each probe began. */
let begun: number[];
let prober: Prober;

/** Answers in turn, the last one for ever; jitter is always at its half. */
function start(answers: readonly Probe[], takesMs = 0): void {
  clock = new ManualClock(0);
  begun = [];
  let running = 0;
  prober = startProber({
    async probe(signal) {
      begun.push(clock.now());
      expect(++running).toBe(1);
      if (takesMs > 0)
        await new Promise<void>((resolve, reject) => {
          const timer = clock.setTimer(takesMs, resolve);
          signal.addEventListener("abort", () => {
            timer.cancel();
            reject(signal.reason);
          });
        });
      running -= 1;
      return answers[Math.min(begun.length, answers.length) - 1] ?? OK;
    },
    onProbe: () => {},
    clock,
    random: { next: () => 0.5, uuid: () => "", bytes: (length) => Buffer.alloc(length) },
  });
}

const gaps = () => begun.slice(1).map((at, i) => at - (begun[i] ?? 0));

beforeEach(() => {
  begun = [];
});

describe("a prober", () => {
  it("asks at once, then every 9 s or so", async () => {
    start([OK]);
    await clock.advance(27_000);
    expect(gaps()).toEqual([9_000, 9_000, 9_000]);
    expect(begun[0]).toBe(0);
  });

  it("never asks twice at once, however slow the client is", async () => {
    start([OK], 60_000);
    await clock.advance(200_000);
    expect(gaps()).toEqual([69_000, 69_000]);
  });

  it("backs off while it is away, up to 10 s, and begins anew when it was back", async () => {
    start([AWAY, AWAY, AWAY, AWAY, AWAY, AWAY, OK, AWAY, AWAY]);
    await clock.advance(45_000);
    expect(gaps().slice(0, 8)).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000, 9_000, 500]);
  });

  it("asks no more after a refusal until it is told to, so that nobody gets banned", async () => {
    start([OK, REFUSED, REFUSED, OK]);
    await clock.advance(3_600_000);
    expect(begun).toHaveLength(2);
    expect(clock.pending).toBe(0);
    prober.askNow();
    await clock.advance(3_600_000);
    expect(begun).toHaveLength(3);
    prober.askNow();
    await clock.advance(9_000);
    expect(begun).toHaveLength(5);
  });

  it("told to asks at once, with fresh patience, and its next probe is due after that one", async () => {
    start([AWAY, AWAY, AWAY, AWAY, AWAY]);
    await clock.advance(3_600);
    prober.askNow();
    await clock.advance(500);
    expect(begun).toEqual([0, 500, 1_500, 3_500, 3_600, 4_100]);
  });

  it("told to in the middle of a probe asks once more after it", async () => {
    start([OK], 1_000);
    await clock.advance(500);
    prober.askNow();
    prober.askNow();
    await clock.advance(1_500);
    expect(begun).toEqual([0, 1_000]);
  });

  it.each([
    ["between two probes", 0, 5_000],
    ["in the middle of one", 60_000, 5_000],
  ])("stopped %s leaves no timer", async (_, takesMs, afterMs) => {
    start([OK], takesMs);
    await clock.advance(afterMs);
    await prober.stop();
    await settle();
    expect(clock.pending).toBe(0);
    expect(begun).toHaveLength(1);
  });
});
