import { readFileSync } from "node:fs";
import { childrenOf } from "../test/support/process-family.js";

// Of a process and those that it has started. NaN where there is no /proc.

export interface FamilyMemory {
  /** What processes share counts once. */
  readonly bytes: number;
  readonly processes: number;
}

const HAS_PROC = process.platform === "linux";
const TICK_MS = 10;
/** Fields of /proc/PID/stat after the name: user and system time, and those of children that ended. */
const OWN_TIMES: readonly number[] = [11, 12];
const ENDED_TIMES: readonly number[] = [13, 14];

/** CPU time so far. */
export function familyCpuMs(pid: number): number {
  if (!HAS_PROC) return Number.NaN;
  const own = [pid, ...childrenOf(pid)].map((each) => ticksOf(each, OWN_TIMES));
  return (sum(own) + ticksOf(pid, ENDED_TIMES)) * TICK_MS;
}

/** It takes the kernel about a millisecond for each process. */
export function familyMemory(pid: number): FamilyMemory {
  if (!HAS_PROC) return { bytes: Number.NaN, processes: Number.NaN };
  const all = [pid, ...childrenOf(pid)];
  return { bytes: sum(all.map(proportionalKilobytes)) * 1_024, processes: all.length };
}

function ticksOf(pid: number, fields: readonly number[]): number {
  const values = read(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  return sum(fields.map((field) => Number(values[field] ?? 0)));
}

function proportionalKilobytes(pid: number): number {
  return Number(/^Pss: +(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
}

/** A process that has ended meanwhile counts nothing. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
