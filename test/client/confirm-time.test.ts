import { expect, it } from "vitest";
import { ConfirmTime } from "../../src/client/confirm-time.js";

const PATIENCE_MS = 11_000;

/** Hears something at each of these times; what is left then. */
function left(time: ConfirmTime, ...times: number[]): number {
  for (const now of times) time.heard(now, PATIENCE_MS);
  return time.leftMs;
}

it("counts from the first word to the last, and is over when that is long enough", () => {
  const time = new ConfirmTime(30_000);
  expect(left(time, 1_000)).toBe(30_000);
  expect(left(time, 6_000, 6_000, 11_000)).toBe(20_000);
  expect(left(time, 21_000, 30_999)).toBe(1);
  expect(left(time, 31_001)).toBe(0);
});

it("does not count while the watch is behind, and begins nothing anew after that", () => {
  const time = new ConfirmTime(30_000);
  left(time, 0, 10_000);
  time.pause();
  expect(left(time, 500_000)).toBe(20_000);
  expect(left(time, 510_000, 520_000)).toBe(0);
});

it("does not count what the watcher stood still", () => {
  const time = new ConfirmTime(30_000);
  left(time, 0, 10_000);
  expect(left(time, 600_000, 600_000, 600_001)).toBe(19_999);
});
