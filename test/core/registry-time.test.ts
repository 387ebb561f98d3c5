import { beforeEach, describe, expect, it } from "vitest";
import { RegistryTime, SharedRegistryTime } from "../../src/core/registry-time.js";
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

describe("registry time that nodes share", () => {
  const AHEAD_MS = 2_000;
  let clock: ManualClock;
  let time: SharedRegistryTime;
  beforeEach(() => {
    clock = new ManualClock(987_654_321);
    time = new SharedRegistryTime(5_000, () => clock.now(), AHEAD_MS);
  });

  it("goes on from what the database said, as this process counts", () => {
    clock.advanceSync(250);
    expect(time.now()).toBe(5_250);
    time.hear(7_000);
    clock.advanceSync(100);
    expect(time.now()).toBe(7_100);
  });

  it("stands still once the database was not heard of for a while", () => {
    clock.advanceSync(AHEAD_MS + 1);
    expect(time.now()).toBe(7_000);
    clock.stall(600_000);
    expect(time.now()).toBe(7_000);
    time.hear(7_300);
    expect(time.now()).toBe(7_300);
  });

  it("goes back with a backup that was restored", () => {
    time.hear(900_000);
    expect(time.now()).toBe(900_000);
    time.hear(20_000);
    clock.advanceSync(100);
    expect(time.now()).toBe(20_100);
  });

  it("never goes back, though the database says less than was counted here", () => {
    clock.advanceSync(1_500);
    expect(time.now()).toBe(6_500);
    time.hear(6_000);
    expect(time.now()).toBe(6_500);
    clock.advanceSync(600);
    expect(time.now()).toBe(6_600);
  });
});
