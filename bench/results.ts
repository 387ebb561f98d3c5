import type { FamilyMemory } from "./family-usage.js";
import { SERVER_NAMES, type ServerName } from "./processes.js";
import type { Quantiles, Spread } from "./statistics.js";
import type { Engine } from "./store/bare-inserts.js";
import type { Growth } from "./store/sizes.js";

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

/** One change after the other, told to all who watch, each on a connection of its own. */
export interface FanOutResult {
  readonly kind: "fan-out";
  readonly watchers: number;
  /** What stands in the registry that is watched. */
  readonly entries: number;
  /** The same bytes are sent by all. */
  readonly servers: Readonly<Record<ServerName, FanOutFigures>>;
  /** CPU for each delivery, of each round by itself. */
  readonly toBare: Spread;
  readonly toRaw: Spread;
  readonly timeVerdict: Verdict;
  readonly cpuVerdict: Verdict;
}

export interface FanOutFigures {
  readonly changes: number;
  /** Over all changes, from the call that made it being sent: until its answer is here. */
  readonly replyMs: Quantiles;
  /** Until the first, the middle and the last watcher has it. */
  readonly firstMs: Quantiles;
  readonly middleMs: Quantiles;
  readonly lastMs: Quantiles;
  /** From the answer until the last watcher has it; below zero if he had it before. */
  readonly lastAfterReplyMs: Quantiles;
  readonly cpuMicrosPerDelivery: Spread;
  /** Of each round, in the order they were taken. */
  readonly rounds: readonly number[];
  /** See CpuFigures. */
  readonly othersUtilisation: number;
  readonly messageBytes: number;
  /** Growth of the resident set from before the first watcher, when all have had the snapshot and are idle. */
  readonly rssBytesPerWatcher: number;
  readonly failures: Readonly<Record<string, number>>;
}

/** A program starts and registers; a manager that watches is called back. */
export interface AttachResult {
  readonly kind: "attach";
  readonly starts: number;
  /** From a process being spawned until the manager was called. */
  readonly haulMs: Spread;
  /** The same for the least program that can register, on grpc-js alone. */
  readonly bareMs: Spread;
  /** From a process being spawned until Node runs its first line. */
  readonly nodeMs: Spread;
  readonly registers: number;
  /** From a Register being sent until the manager was called: more than from its commit. */
  readonly fromSentMs: Quantiles;
  /** From its answer being here: less than from its commit, and below zero if the manager was faster. */
  readonly fromReplyMs: Quantiles;
  readonly startVerdict: Verdict;
  readonly callbackVerdict: Verdict;
}

/** One Haul beside real download clients, which have nothing to do. */
export interface HaulResult {
  readonly kind: "haul";
  /** Download clients that are not installed, as their makers write them. */
  readonly missing: readonly string[];
  readonly starts: number;
  /** From a process being spawned until Node runs its first line. */
  readonly nodeMs: Spread;
  readonly clients: readonly HaulClientFigures[];
  /** Of one Haul beside all of them. */
  readonly agent: HaulAgentFigures;
}

export interface HaulClientFigures {
  readonly title: string;
  readonly version: string;
  /** From Haul being spawned until a manager that watches was logged in at the client. */
  readonly loggedInMs: Spread;
  /** A log-in of that manager by itself. */
  readonly logInMs: Spread;
  /** CPU of the client, less what it takes when nobody asks: of a probe, and of one with a log-in. */
  readonly probeCpuMs: number;
  readonly logInCpuMs: number;
  /** Part of one core at Haul's pace, log-ins included. */
  readonly utilisation: number;
  /** The same of the client when nobody asks it. */
  readonly idleUtilisation: number;
  readonly verdict: Verdict;
}

export interface HaulAgentFigures {
  /** From its being spawned until a manager was logged in everywhere. */
  readonly loggedInMs: number;
  /** Resident memory of Node itself. */
  readonly nodeBytes: number;
  /** Resident memory of Haul at that moment, and after `restMs`. */
  readonly registeredBytes: number;
  readonly restedBytes: number;
  /** Then, with what it shares with other processes counted in parts. */
  readonly proportionalBytes: number;
  readonly restMs: number;
  /** Part of one core meanwhile: probes, heartbeats, and all else. */
  readonly utilisation: number;
  /** The same of all download clients together, what they take by themselves included. */
  readonly clientsUtilisation: number;
  readonly verdict: Verdict;
}

export const STORE_NAMES = [
  "Pulse on SQLite",
  "bare SQLite",
  "Pulse on PostgreSQL",
  "three Pulses on PostgreSQL",
  "bare PostgreSQL",
] as const;
export type StoreName = (typeof STORE_NAMES)[number];

/** Durable Registers by callers who each wait for their answer, beside bare inserts of the same rows. */
export interface StoreResult {
  readonly kind: "store";
  /** Registered before, and registered again in turn. */
  readonly services: number;
  /** That all of them share: programs, PostgreSQL and generator. */
  readonly cores: number;
  readonly fdatasyncMedianMs: number;
  readonly levels: readonly StoreLevel[];
  readonly growth: Readonly<Record<Engine, Growth>>;
  /** Its memory while four Pulses used it and nobody else. */
  readonly postgres: { readonly version: string; readonly memory: FamilyMemory };
}

export interface StoreLevel {
  readonly callers: number;
  readonly stores: Readonly<Record<StoreName, StoreFigures>>;
  /** Registers per second divided by the bare loop's, of each round by itself. */
  readonly toBare: Readonly<Partial<Record<StoreName, Spread>>>;
}

export interface StoreFigures {
  readonly registersPerSecond: Spread;
  /** Of each window, in the order they were taken. */
  readonly windows: readonly number[];
  readonly answeredMs: Quantiles;
  /** CPU of each Register: of Pulse, or of the bare loop; and of PostgreSQL, 0 without one. */
  readonly programMicros: number;
  readonly postgresMicros: number;
  /** Parts of one core; 0 for a bare loop, which calls itself. */
  readonly generatorUtilisation: number;
  /** Parts of all cores that nobody used who takes part; NaN where it cannot be told. */
  readonly othersUtilisation: number;
  readonly failures: Readonly<Record<string, number>>;
}

export interface Skipped {
  readonly kind: "skipped";
  readonly name: string;
  readonly why: string;
}

export type Result =
  | CpuResult
  | FleetResult
  | FanOutResult
  | AttachResult
  | HaulResult
  | StoreResult
  | Skipped;

/** Of each server that had some. Those of attach and haul end the run. */
export function failuresOf(
  result: Result,
): readonly (readonly [ServerName | StoreName, Readonly<Record<string, number>>])[] {
  if (result.kind === "skipped" || result.kind === "attach" || result.kind === "haul") return [];
  if (result.kind === "store")
    return result.levels.flatMap(({ stores }) =>
      STORE_NAMES.map((name) => [name, stores[name].failures] as const).filter(
        ([, failures]) => countFailures(failures) > 0,
      ),
    );
  return SERVER_NAMES.map((name) => [name, result.servers[name]?.failures ?? {}] as const).filter(
    ([, failures]) => countFailures(failures) > 0,
  );
}

export function countFailures(failures: Readonly<Record<string, number>>): number {
  return Object.values(failures).reduce((sum, count) => sum + count, 0);
}
