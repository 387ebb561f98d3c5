import { expect, test } from "vitest";
import { byteText, rateText } from "../../src/cli/byte-text.js";

test.each([
  [0, "0 B"],
  [1_023, "1023 B"],
  [1_024, "1.0 KiB"],
  [1_500_000, "1.4 MiB"],
  [2 ** 40 * 3.25, "3.3 TiB"],
  [2 ** 64, "16384.0 PiB"],
])("%d bytes are %s", (count, text) => {
  expect(byteText(count)).toBe(text);
  expect(rateText(count)).toBe(`${text}/s`);
});
