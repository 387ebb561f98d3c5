import { expect, test } from "vitest";
import { alignRows, renderTable } from "../../src/cli/table.js";

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
