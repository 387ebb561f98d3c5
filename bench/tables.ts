import Table from "cli-table3";
import type { Verdict } from "./results.js";
import type { Spread } from "./statistics.js";

/** @param figures so many columns after the first are aligned to the right */
export function newTable(head: string[], figures = 3): InstanceType<typeof Table> {
  return new Table({
    head,
    style: { head: [], border: [], compact: true },
    colAligns: ["left", ...Array.from({ length: figures }, () => "right" as const)],
  });
}

export function verdictCells({ aim, isMet }: Verdict): string[] {
  return [aim, isMet ? "met" : "NOT MET"];
}

export function spread({ median, min, max }: Spread, digits = 2): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}

export function kilobytes(bytes: number): string {
  return (bytes / 1_024).toFixed(1);
}

export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}
