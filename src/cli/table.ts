import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import { paint } from "./output.js";

/** Columns without lines, as `ps` prints them; `empty` if there are no rows. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  empty: string,
): string {
  if (rows.length === 0) return empty;
  const table = new Table({
    head: head.map((title) => paint("bold", title)),
    chars: NO_LINES,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/**
 * For rows that come one by one: each is rendered in line with those before it,
 * as far as these were not narrower.
 */
export function alignRows(head: readonly string[]): (row: readonly string[]) => string {
  let widest = head;
  return (row) => {
    widest = widest.map((text, i) => wider(text, row[i] ?? ""));
    return renderTable(widest, [row], "").split("\n").at(-1) ?? "";
  };
}

function wider(a: string, b: string): string {
  const [widthA, widthB] = [a, b].map((text) => stripVTControlCharacters(text).length);
  return (widthA ?? 0) < (widthB ?? 0) ? b : a;
}

const NO_LINES = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "   ",
};
