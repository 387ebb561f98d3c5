import Table from "cli-table3";
import type { Verdict } from "./results.js";
import type { Spread } from "./statistics.js";

export function newTable(head: string[]): InstanceType<typeof Table> {
  return new Table({
    head,
    style: { head: [], border: [], compact: true },
    colAligns: ["left", "right", "right", "right"],
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
