import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

// docs/reliability.md promises; each of its lines names the tests that show it.

const ROOT = join(import.meta.dirname, "..");
const ROWS = Array.from({ length: 32 }, (_, n) => n + 1);

interface Line {
  readonly row: number;
  readonly promise: string;
  /** Files of tests, from the root. */
  readonly files: readonly string[];
  readonly figure: string;
}

const table: Line[] = readFileSync(join(ROOT, "docs", "reliability.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| \d/.test(line))
  .map((line) => {
    const [row, , promise = "", tests = "", figure = ""] = line.split(" | ");
    return {
      row: Number(row?.slice(2)),
      promise,
      files: [...tests.matchAll(/\]\(\.\.\/(test\/[^)]+)\)/g)].map(([, file = ""]) => file),
      figure: figure.replace(/ \|$/, ""),
    };
  });

/** The rows that the titles of a file begin with; those of several have commas between. */
function shownBy(file: string): Set<number> {
  const titles = readFileSync(join(ROOT, file), "utf8").matchAll(/["`]((?:#\d+(?:, )?)+) /g);
  return new Set([...titles].flatMap(([, rows = ""]) => rows.match(/\d+/g) ?? []).map(Number));
}

it("has a line for each row, with a promise and a figure", () => {
  expect(table.map(({ row }) => row)).toEqual(ROWS);
  for (const { promise, figure } of table) {
    expect(promise).not.toBe("");
    expect(figure).not.toBe("");
  }
});

it.each(table)("$row is shown by the tests that its line names", ({ row, files }) => {
  expect(files).not.toEqual([]);
  for (const file of files) expect([file, ...shownBy(file)]).toContain(row);
});

it("names every test of reliability", () => {
  const files = readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(test|soak)\.ts$/.test(file))
    .map((file) => `test/${file}`);
  const unnamed = files.flatMap((file) =>
    [...shownBy(file)]
      .filter((row) => !table.some((line) => line.row === row && line.files.includes(file)))
      .map((row) => `#${row} ${file}`),
  );
  expect(unnamed).toEqual([]);
});
