import { describe, expect, it } from "vitest";
import { ackTimeoutMs, afterFailure, FRESH_PACE, slower } from "../../src/client/pace.js";

/** The longest waits of one kind, failure by failure. */
function ceilings(which: keyof typeof FRESH_PACE, count: number): number[] {
  const waits: number[] = [];
  for (let pace = FRESH_PACE; waits.length < count; ) {
    const next = slower(pace, which, 1);
    waits.push(next.delayMs);
    pace = next.pace;
  }
  return waits;
}

it("waits grow with each failure up to their cap", () => {
  expect(ceilings("register", 6)).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 32_000]);
  expect(ceilings("stream", 7)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  expect(ceilings("anew", 6)).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
});

it("a failure of one kind slows down no other", () => {
  const { pace } = slower(FRESH_PACE, "stream", 0.5);
  expect(pace.register).toBe(FRESH_PACE.register);
  expect(pace.anew).toBe(FRESH_PACE.anew);
  expect(pace.stream.failures).toBe(1);
});

it("the jitter goes on top of what the server asks for, so that a crowd does not come back as one", () => {
  expect(slower(FRESH_PACE, "stream", 0, 4_000).delayMs).toBe(4_000);
  expect(slower(FRESH_PACE, "stream", 0.5, 4_000).delayMs).toBe(4_250);
});

describe("after a failure", () => {
  const slow = slower(FRESH_PACE, "stream", 0).pace;
  const wait = (
    others: "none" | "tried" | "untried",
    { floorMs = 0, floorOf = "pulse" as "pulse" | "node", random = 0.5 } = {},
  ) => afterFailure(slow, "stream", { floorMs, floorOf }, { random: () => random, others });

  it("another endpoint is tried within half a second, and the pace is as before", () => {
    expect(wait("untried", { random: 0.999 }).delayMs).toBeLessThan(500);
    expect(wait("untried", { random: 0 }).delayMs).toBe(0);
    expect(wait("untried").pace).toBe(slow);
  });

  it.each(["none", "tried"] as const)("the backoff goes on where others are %s", (others) => {
    expect(wait(others).delayMs).toBe(500);
    expect(wait(others).pace.stream.failures).toBe(2);
    expect(wait(others, { floorMs: 3_000, floorOf: "node" }).delayMs).toBe(3_500);
  });

  it("what a stopping node asks for holds for that node, anything else for all", () => {
    expect(wait("untried", { floorMs: 3_000, floorOf: "node" }).delayMs).toBe(250);
    expect(wait("untried", { floorMs: 3_000, floorOf: "pulse" }).delayMs).toBe(3_250);
  });
});

it.each([
  [100, 150],
  [5_000, 7_500],
  [20_000, 25_000],
])("with an interval of %i ms an answer is missed after %i ms", (intervalMs, timeoutMs) => {
  expect(ackTimeoutMs(intervalMs)).toBe(timeoutMs);
});

it.each([1_666, 5_000, 100_000])(
  "with an interval of %i ms a silent connection is replaced before the lease ends",
  (intervalMs) => {
    // The heartbeat before was answered, the next one is not, and the first wait is the longest.
    const { delayMs } = slower(FRESH_PACE, "stream", 1);
    expect(intervalMs + ackTimeoutMs(intervalMs) + delayMs).toBeLessThan(3 * intervalMs);
  },
);
