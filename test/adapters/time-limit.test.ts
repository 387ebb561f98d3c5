import { getEventListeners } from "node:events";
import { beforeEach, describe, expect, it } from "vitest";
import { withTimeLimit } from "../../src/adapters/time-limit.js";
import { ManualClock } from "../support/manual-clock.js";

let clock: ManualClock;
let controller: AbortController;
beforeEach(() => {
  clock = new ManualClock();
  controller = new AbortController();
});

const limited = <T>(work: (signal: AbortSignal) => Promise<T>) =>
  withTimeLimit({ clock, timeoutMs: 2_000, meaning: "it slept" }, controller.signal, work);

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

describe("a time limit", () => {
  it("lets through what ends in time, result or error", async () => {
    expect(await limited(async () => "done")).toBe("done");
    await expect(limited(() => Promise.reject(new Error("own")))).rejects.toThrow("own");
  });

  it("leaves no timer and no listener, since the signal may live as long as the program", async () => {
    await limited(async () => "done");
    expect(clock.pending).toBe(0);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  it("ends the work when it is over, and not before", async () => {
    const working = limited(untilAborted);
    clock.advanceSync(1_999);
    expect(clock.pending).toBe(1);
    clock.advanceSync(1);
    await expect(working).rejects.toMatchObject({
      outcome: "unreachable",
      message: "it slept within 2 s",
    });
  });

  it("inside another: the one that is over says so", async () => {
    const outer = { clock, timeoutMs: 1_000, meaning: "it dozed" };
    const working = withTimeLimit(outer, controller.signal, (signal) =>
      withTimeLimit({ clock, timeoutMs: 2_000, meaning: "it slept" }, signal, untilAborted),
    );
    clock.advanceSync(1_000);
    await expect(working).rejects.toThrow("it dozed within 1 s");
    expect(clock.pending).toBe(0);
  });

  it("rejects with the signal's reason when that aborts first", async () => {
    const working = limited(untilAborted);
    controller.abort(new Error("enough"));
    await expect(working).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
  });
});
