import { describe, expect, it } from "vitest";
import { RegistryTime } from "../../src/core/registry-time.js";
import { ManualClock } from "../support/manual-clock.js";

describe("registry time", () => {
  it("goes on from where it was left, however long no Pulse ran", () => {
    const clock = new ManualClock(987_654_321);
    const time = new RegistryTime(5_000, () => clock.now(), 1_000);
    expect(time.now()).toBe(5_000);
    clock.advanceSync(250);
    expect(time.now()).toBe(5_250);
  });

  it("counts at most one step for a stall", () => {
    const clock = new ManualClock();
    const time = new RegistryTime(0, () => clock.now(), 1_000);
    clock.stall(600_000);
    expect(time.now()).toBe(1_000);
    expect(time.now()).toBe(1_000);
  });

  it("never goes back, even if its source does", () => {
    let monotonic = 100;
    const time = new RegistryTime(0, () => monotonic, 1_000);
    monotonic = 50;
    expect(time.now()).toBe(0);
    monotonic = 60;
    expect(time.now()).toBe(10);
  });
});
