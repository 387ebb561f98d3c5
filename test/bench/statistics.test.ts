import { describe, expect, it } from "vitest";
import { pairedRatios, quantileOf, quantilesOf, spreadOf } from "../../bench/statistics.js";

const ONE_TO_HUNDRED = Array.from({ length: 100 }, (_, index) => 100 - index);

describe("quantiles", () => {
  it("are values that were measured, whatever their order", () => {
    expect(quantilesOf(ONE_TO_HUNDRED)).toEqual({ p50: 50, p99: 99 });
    expect(quantileOf(ONE_TO_HUNDRED, 1)).toBe(100);
  });

  it("of few values show the worst one as p99", () => {
    expect(quantilesOf([3, 1, 2])).toEqual({ p50: 2, p99: 3 });
    expect(quantilesOf([7])).toEqual({ p50: 7, p99: 7 });
  });

  it("of nothing are no number, so that no aim is met by them", () => {
    expect(quantilesOf([])).toEqual({ p50: Number.NaN, p99: Number.NaN });
    expect(spreadOf([]).median).toBeNaN();
  });
});

describe("ratios of rounds that took turns", () => {
  it("are taken round by round: a slow round slows both and changes nothing", () => {
    expect(pairedRatios([20, 200, 20], [10, 100, 10])).toEqual({ median: 2, min: 2, max: 2 });
  });

  it("are no number if a reference has no such round", () => {
    expect(pairedRatios([20], []).median).toBeNaN();
  });
});
