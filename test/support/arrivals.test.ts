import { expect, it } from "vitest";
import { spreadOf } from "./arrivals.js";

it("finds the busiest second wherever it begins", () => {
  const at = [0, 900, 1_100, 1_500, 1_899, 1_900, 4_000];
  expect(spreadOf(at)).toMatchObject({ spanMs: 4_000, busiestSecond: 4, meanPerSecond: 1.75 });
  expect(spreadOf(at).peakOverMean).toBeCloseTo(4 / 1.75);
});

it("takes those who come evenly for one mean, and those who come in one of five seconds for nearly five", () => {
  const even = Array.from({ length: 1_000 }, (_, n) => n * 10);
  expect(spreadOf(even).peakOverMean).toBeCloseTo(1, 1);
  const crowd = Array.from({ length: 980 }, (_, n) => 2_000 + n);
  const others = Array.from({ length: 20 }, (_, n) => (n < 5 ? 0 : 5_000));
  expect(spreadOf([...crowd, ...others]).peakOverMean).toBeCloseTo(5, 0);
});

it("lets a few who are late lower no mean", () => {
  const crowd = Array.from({ length: 990 }, (_, n) => n * 2);
  const late = Array.from({ length: 10 }, (_, n) => 10_000 + n);
  expect(spreadOf([...crowd, ...late]).peakOverMean).toBeCloseTo(1, 1);
});

it("takes all at once for one mean, as there is no second with less", () => {
  expect(spreadOf([70, 10, 50, 99])).toMatchObject({ meanPerSecond: 4, peakOverMean: 1 });
});
