import { expect, it } from "vitest";
import { createBackoff } from "../../src/lib/backoff.js";

const policy = { baseMs: 2_000, factor: 2, capMs: 32_000 };

it("doubles its ceiling with each failure up to the cap", () => {
  const ceilings: number[] = [];
  for (let b = createBackoff(policy); ceilings.length < 7; b = b.next()) ceilings.push(b.ceilingMs);
  expect(ceilings).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 32_000, 32_000]);
});

it("waits anywhere from nothing to the ceiling", () => {
  const backoff = createBackoff(policy).next();
  expect([backoff.delayMs(0), backoff.delayMs(0.5), backoff.delayMs(0.999)]).toEqual([
    0, 2_000, 3_996,
  ]);
});

it("is a value: next() leaves it as it was", () => {
  const first = createBackoff(policy);
  first.next();
  expect([first.failures, first.ceilingMs]).toEqual([0, 2_000]);
});

it("stays at the cap after any number of failures", () => {
  expect(createBackoff(policy, 100_000).ceilingMs).toBe(32_000);
});
