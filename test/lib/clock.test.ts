import { describe, expect, it } from "vitest";
import { repeat, sleep } from "../../src/lib/clock.js";
import { ManualClock } from "../support/manual-clock.js";

describe("sleep", () => {
  it("ends after its time and leaves no listener", async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    let ended = false;
    void sleep(clock, 1_000, signal).then(() => {
      ended = true;
    });
    await clock.advance(999);
    expect(ended).toBe(false);
    await clock.advance(1);
    expect(ended).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("ends at once with the signal's reason, and leaves no timer", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 1_000, controller.signal);
    controller.abort(new Error("enough"));
    await expect(sleeping).rejects.toThrow("enough");
    await expect(sleep(clock, 1, controller.signal)).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
  });
});

describe("repeat", () => {
  it("calls at each interval until it is cancelled", async () => {
    const clock = new ManualClock();
    let calls = 0;
    const timer = repeat(clock, 100, () => calls++);
    await clock.advance(350);
    expect(calls).toBe(3);
    timer.cancel();
    await clock.advance(1_000);
    expect([calls, clock.pending]).toEqual([3, 0]);
  });

  it("can be cancelled from within", () => {
    const clock = new ManualClock();
    let calls = 0;
    const timer = repeat(clock, 100, () => {
      calls++;
      timer.cancel();
    });
    clock.advanceSync(1_000);
    expect([calls, clock.pending]).toEqual([1, 0]);
  });
});
