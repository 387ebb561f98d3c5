import { expect, it } from "vitest";
import { oneLine } from "../../src/lib/one-line.js";

it.each([
  ["abc", "abc"],
  ["abcd", "abc"],
  ["🎬🎬🎬", "🎬🎬🎬"],
  ["🎬🎬🎬🎬", "🎬🎬🎬"],
  ["ab🎬🎬", "ab🎬"],
  ["a\nb", "a b"],
  ["a\u0000b", "a b"],
  ["\r\n\u2028", " "],
])("%j is three whole characters of one line: %j", (text, line) => {
  expect(oneLine(text, 3)).toBe(line);
});
