import { expect, it } from "vitest";
import { capTimeout, formatTimeout, parseTimeout } from "../../src/wire/grpc-timeout.js";

it.each([
  ["2H", 7_200_000],
  ["3M", 180_000],
  ["4S", 4_000],
  ["5m", 5],
  ["600u", 0.6],
  ["500000n", 0.5],
  ["999999999S", undefined],
  ["5", undefined],
  ["-5m", undefined],
  ["", undefined],
])("the header %j says %s ms", (text, ms) => {
  expect(parseTimeout(text)).toBe(ms);
});

it.each([
  [1_500.2, "1501m"],
  [0, "1m"],
  [1e12, "99999999m"],
])("%d ms are written as %s", (ms, text) => {
  expect(formatTimeout(ms)).toBe(text);
});

it.each([
  ["10S", "10S"],
  ["10000m", "10000m"],
  ["11S", "10S"],
  ["99999999H", "10S"],
  ["nonsense", "nonsense"],
])("%s is at most 10 s: %s", (text, capped) => {
  expect(capTimeout(text, 10_000)).toBe(capped);
});
