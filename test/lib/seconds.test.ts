import { expect, it } from "vitest";
import { inSeconds } from "../../src/lib/seconds.js";

it.each([
  [0, "0.0 s"],
  [1_480, "1.5 s"],
  [10_000, "10 s"],
  [119_600, "120 s"],
])("%d ms are %s", (ms, text) => {
  expect(inSeconds(ms)).toBe(text);
});
