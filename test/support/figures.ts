import { appendFileSync } from "node:fs";

const file = process.env.FIGURES;

/**
 * A figure that a test has measured. With FIGURES=FILE they are collected there, one
 * object a line, for the tables of the docs.
 * @param row of docs/reliability.md, or what the figure is about
 */
export function figure(row: number | string, what: string, value: number | string): void {
  const text = typeof value === "number" ? Math.round(value * 100) / 100 : value;
  if (file) appendFileSync(file, `${JSON.stringify({ row, what, value: text })}\n`);
}
