import type { ServerName } from "./processes.js";
import type { Spread } from "./statistics.js";

/** What was hoped for, beside what came. */
export interface Verdict {
  readonly aim: string;
  readonly isMet: boolean;
}

/** Server CPU per operation, of several short windows that took turns among the servers. */
export interface CpuResult {
  readonly kind: "cpu";
  readonly name: string;
  /** What is in flight. */
  readonly shape: string;
  readonly servers: Readonly<Record<ServerName, CpuFigures>>;
  /** Of each round by itself: what slows the machine slows both. */
  readonly toBare: Spread;
  readonly toEcho: Spread;
  readonly verdict: Verdict;
}

export interface CpuFigures {
  readonly microsPerOperation: Spread;
  /** Of each window, in the order they were taken. */
  readonly windows: readonly number[];
  readonly operationsPerSecond: number;
  /** Parts of one core. */
  readonly serverUtilisation: number;
  readonly generatorUtilisation: number;
  /** What others used of the server's core meanwhile; NaN where it cannot be told. */
  readonly othersUtilisation: number;
  /** Mean size of an answer's message: the references shall answer as much as Pulse does. */
  readonly answerBytes: number;
  readonly failures: Readonly<Record<string, number>>;
}

/** A fleet that comes all at once, and what it takes to hold it. */
export interface FleetResult {
  readonly kind: "fleet";
  readonly services: number;
  readonly servers: Readonly<Partial<Record<ServerName, FleetFigures>>>;
  readonly memoryVerdict: Verdict;
  /** Only for the size that has an aim. */
  readonly timeVerdict?: Verdict;
}

export interface FleetFigures {
  readonly totalMs: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly cpuMicrosPerService: number;
  /** Growth of the resident set from before the first connection. */
  readonly rssBytesPerConnection: number;
  readonly failures: Readonly<Record<string, number>>;
}

export interface Skipped {
  readonly kind: "skipped";
  readonly name: string;
  readonly why: string;
}

export type Result = CpuResult | FleetResult | Skipped;

export function countFailures(failures: Readonly<Record<string, number>>): number {
  return Object.values(failures).reduce((sum, count) => sum + count, 0);
}
