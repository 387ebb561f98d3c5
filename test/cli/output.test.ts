import { describe, expect, test } from "vitest";
import { alignRows, cell, renderTable } from "../../src/cli/output.js";
import { usageSentence } from "../../src/cli/program.js";

test("columns line up and lines have no blanks at their end", () => {
  expect(
    renderTable(
      ["A", "B"],
      [
        ["1", ""],
        ["long", "2"],
      ],
      "",
    ).split("\n"),
  ).toEqual(["A      B", "1", "long   2"]);
});

test("rows that come one by one are in line with those before", () => {
  const align = alignRows(["A", "B"]);
  expect(align(["1", "x"])).toBe("1   x");
  expect(align(["long", "x"])).toBe("long   x");
  expect(align(["\u001b[31m1\u001b[39m", "x"])).toBe("\u001b[31m1\u001b[39m      x");
});

test("text from elsewhere cannot move the cursor, break the line or turn the reading direction", () => {
  expect(cell("a\u001b[2Jb\nc\u202ed\u0000")).toBe("a\ufffd[2Jb\ufffdc\ufffdd\ufffd");
});

describe("a usage error", () => {
  test("is one sentence", () => {
    expect(usageSentence("error: unknown option '--tokn'\n(Did you mean --token?)\n")).toBe(
      "unknown option '--tokn' (Did you mean --token?)",
    );
  });

  test("repeats no secret that was typed where none belongs", () => {
    expect(usageSentence("error: unknown option '--token=abc'\n")).toBe("unknown option '--token'");
    expect(usageSentence("error: option '--url <url>' argument 'http://me:pw@h' is invalid.")).toBe(
      "option '--url <url>' argument 'http://[hidden]@h' is invalid",
    );
  });
});
