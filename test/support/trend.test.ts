import { expect, it } from "vitest";
import { growthEach, median } from "./trend.js";

it("growth is that of the line through all points", () => {
  expect(growthEach([[1, 10], [2, 30], [3, 50]])).toBeCloseTo(20); // biome-ignore format: points
  expect(growthEach([[0, 5], [10, 7], [20, 5]])).toBeCloseTo(0); // biome-ignore format: points
});

it("the median is a value that is there", () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 3, 2])).toBe(3);
});
