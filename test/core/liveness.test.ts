import { describe, expect, it } from "vitest";
import { LapseGuard } from "../../src/core/liveness.js";

const TTL = 15_000;

describe("the lapse guard", () => {
  it("lets one dead instance of three lapse", () => {
    expect(new LapseGuard(TTL).allows(0, 1, 3)).toBe(true);
  });

  it("lets all of five lapse: a fleet that small says nothing about us", () => {
    expect(new LapseGuard(TTL).allows(0, 5, 5)).toBe(true);
  });

  it("lets half of six lapse", () => {
    expect(new LapseGuard(TTL).allows(0, 3, 6)).toBe(true);
  });

  it("holds four of six for one TTL, then lets them lapse", () => {
    const guard = new LapseGuard(TTL);
    expect(guard.allows(1_000, 4, 6)).toBe(false);
    expect(guard.state).toEqual({ name: "holding", untilMs: 16_000 });
    expect(guard.allows(15_999, 4, 6)).toBe(false);
    expect(guard.allows(16_000, 4, 6)).toBe(true);
  });

  it("counts lapses of the last TTL together, also when they come one by one", () => {
    const guard = new LapseGuard(TTL);
    const allowed = [1, 2, 3, 4, 5, 6].map((n) => guard.allows(n * 1_000, 1, 10 - n + 1));
    expect(allowed).toEqual([true, true, true, true, true, false]);
  });

  it("counts those in doubt along, once somebody is due", () => {
    const guard = new LapseGuard(TTL);
    expect(guard.allows(1_000, 0, 10, 8)).toBe(true);
    expect(guard.state.name).toBe("watching");
    expect(guard.allows(2_000, 1, 10, 4)).toBe(true);
    expect(guard.allows(3_000, 1, 9, 4)).toBe(false);
  });

  it("forgets lapses that are older than a TTL", () => {
    const guard = new LapseGuard(TTL);
    expect(guard.allows(0, 3, 6)).toBe(true);
    expect(guard.allows(TTL + 1, 2, 6)).toBe(true);
  });

  it("does not hold again what it has held, and watches again after a TTL", () => {
    const guard = new LapseGuard(TTL);
    guard.allows(0, 8, 10);
    expect(guard.allows(TTL, 8, 10)).toBe(true);
    expect(guard.allows(TTL + 1, 2, 2)).toBe(true);
    guard.allows(3 * TTL, 0, 10);
    expect(guard.allows(3 * TTL, 8, 10)).toBe(false);
  });

  it("holds nobody back once those that were missing have returned", () => {
    const guard = new LapseGuard(TTL);
    guard.allows(0, 8, 10);
    guard.allows(TTL, 0, 10);
    expect(guard.allows(2 * TTL, 1, 10)).toBe(true);
  });
});

it("a hold is over when registry time goes back, with a backup that was restored", () => {
  const guard = new LapseGuard(15_000);
  expect(guard.allows(900_000, 8, 10)).toBe(false);
  expect(guard.allows(1_000, 1, 10)).toBe(true);
});
