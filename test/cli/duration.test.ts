import { expect, test } from "vitest";
import { parseDuration, parseDurationOrNever, parseInstant } from "../../src/cli/duration.js";

test.each([
  ["30d", 30 * 86_400_000],
  ["12h", 12 * 3_600_000],
  ["90m", 90 * 60_000],
  ["45s", 45_000],
  ["500ms", 500],
  [" 1s ", 1_000],
  ["36500d", 36_500 * 86_400_000],
])("%j is read", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(["", "30", "d", "1.5h", "-1s", "0s", "1h30m", "1 h", "1w", "1H", "36501d", "never"])(
  "%j is refused with examples of what to give",
  (text) => {
    expect(() => parseDuration(text)).toThrow(
      "Give a duration such as 30d, 12h, 90m, 45s or 500ms.",
    );
  },
);

test("never is for ever, where that is offered, and is said to be", () => {
  expect(parseDurationOrNever("never")).toBe(Number.POSITIVE_INFINITY);
  expect(parseDurationOrNever("1d")).toBe(86_400_000);
  expect(() => parseDurationOrNever("nver")).toThrow(/500ms, or never\.$/);
});

test("an instant is a day in UTC, or a time with its zone", () => {
  expect(parseInstant("2030-01-31")).toBe(Date.UTC(2030, 0, 31));
  expect(parseInstant("2030-01-31T18:00:00Z")).toBe(Date.UTC(2030, 0, 31, 18));
  expect(parseInstant(" 2030-01-31T18:00+02:00 ")).toBe(Date.UTC(2030, 0, 31, 16));
  for (const text of ["", "tomorrow", "31.01.2030", "2030-01-31T18:00", "2030-13-01", "1893456000"])
    expect(() => parseInstant(text)).toThrow("Give a time such as 2030-01-31");
});
