import { expect, it } from "vitest";
import { isSameText } from "../../src/lib/same-text.js";

it.each([
  [true, "", ""],
  [true, "geheim ü", "geheim ü"],
  [false, "a", "b"],
  [false, "a", "aa"],
  [false, "ü", "u\u0308"],
])("%s: %j and %j", (same, a, b) => expect(isSameText(a, b)).toBe(same));
