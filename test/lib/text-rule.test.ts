import { describe, expect, it } from "vitest";
import { NAME_RULE, textProblem } from "../../src/lib/text-rule.js";

const RULE = { min: 2, max: 4 };

describe("a text", () => {
  it.each([
    ["", "is required"],
    ["a", "must have at least 2 characters"],
    ["ab", undefined],
    ["abcd", undefined],
    ["abcde", "must have at most 4 characters"],
    ["a".repeat(9), "must have at most 4 characters"],
    ["🎬", "must have at least 2 characters"],
    ["🎬🎬🎬🎬", undefined],
    ["🎬🎬🎬🎬🎬", "must have at most 4 characters"],
  ])("%j is bounded in characters, not in UTF-16 units: %s", (text, problem) => {
    expect(textProblem(text, RULE)).toBe(problem);
  });

  it.each(["\u0000", "\n", "\u001b", "\u007f", "\u0085", "\u2028", "\u2029"])(
    "with the control character %j is refused",
    (character) => {
      expect(textProblem(`a${character}b`, RULE)).toBe("must not contain control characters");
    },
  );

  it("that may be empty needs no form then", () => {
    const rule = { max: 9, pattern: /^[a-z]+$/, form: "lower-case letters" };
    expect(textProblem("", rule)).toBeUndefined();
    expect(textProblem("A", rule)).toBe("must be lower-case letters");
  });
});

it.each([
  ["qBittorrent on the NAS", true],
  ["x", true],
  ["帯", true],
  [" x", false],
  ["x ", false],
  ["x\u00a0", false],
  [" ", false],
])("the name %j is fit for people: %s", (name, isFit) => {
  expect(textProblem(name, NAME_RULE) === undefined).toBe(isFit);
});
