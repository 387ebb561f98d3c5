import { appendFileSync } from "node:fs";

const file = process.env.FIGURES;

/**
 * A figure that a test of reliability has measured. With FIGURES=FILE they are collected
 * there, one object a line, for the table of docs/reliability.md.
 */
export function figure(row: number, what: string, value: number | string): void {
  const text = typeof value === "number" ? Math.round(value * 100) / 100 : value;
  if (file) appendFileSync(file, `${JSON.stringify({ row, what, value: text })}\n`);
}
