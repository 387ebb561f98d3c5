import { join } from "node:path";
import type { GeneratorApi } from "./generator/main.js";
import type { Machine } from "./machine.js";
import { type BenchServer, SERVER_NAMES, type ServerName, startServer } from "./processes.js";
import type { Remote } from "./remote.js";
import type { Result } from "./results.js";

/** How much is measured. */
export interface Effort {
  readonly rounds: number;
  readonly windowMs: number;
  readonly warmUpMs: number;
  /** How many services come at once, one fleet after the other. */
  readonly fleets: readonly number[];
  readonly settleMs: number;
  /** How many watch at once, each on a connection of its own. */
  readonly watchers: number;
  /** Changes that they are told in a round. */
  readonly changesPerRound: number;
  /** How often a Haul starts anew. */
  readonly starts: number;
  /** How many services register one after the other under the eyes of a manager. */
  readonly registers: number;
  readonly haul: HaulEffort;
  readonly store: StoreEffort;
}

export interface HaulEffort {
  /** How often a Haul starts anew beside each download client. */
  readonly starts: number;
  /** How often each is asked, and how often with a log-in. */
  readonly probes: number;
  readonly logIns: number;
  /** How long the download clients are watched while nobody asks them. */
  readonly idleMs: number;
  /** How long a Haul stands beside all of them before its memory is read again. */
  readonly restMs: number;
}

/** A window must be long beside the time in which all callers are answered once. */
export interface StoreEffort {
  /** How many call at once, one number after the other. */
  readonly callers: readonly number[];
  readonly rounds: number;
  readonly windowMs: number;
}

export interface Bench {
  readonly machine: Machine;
  readonly effort: Effort;
  readonly generator: Remote<GeneratorApi>;
  /** Where to write CPU profiles of Pulse, if they are wanted. */
  readonly profileDirectory: string | undefined;
}

export interface Scenario {
  readonly name: string;
  run(bench: Bench): Promise<Result[]>;
}

export type Servers = readonly BenchServer[];

/** Starts fresh servers, so that no scenario meets what another left, and ends them after `use`. */
export async function withServers<T>(
  bench: Bench,
  use: (servers: Servers) => Promise<T>,
  names: readonly ServerName[] = SERVER_NAMES,
): Promise<T> {
  const { pinning, dataDirectory } = bench.machine;
  const core = typeof pinning === "string" ? undefined : pinning.server;
  const starting = names.map((name) => startServer(name, { core, dataDirectory }));
  try {
    return await use(await Promise.all(starting));
  } finally {
    for (const start of await Promise.allSettled(starting))
      if (start.status === "fulfilled") await start.value.stop();
  }
}

/** Runs `work`, and writes what the server did meanwhile if that is wanted and it is Pulse. */
export async function profiled<T>(
  { profileDirectory }: Bench,
  server: BenchServer | undefined,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  if (profileDirectory === undefined || server?.name !== "Pulse") return work();
  await server.startProfile();
  const result = await work();
  await server.stopProfile(join(profileDirectory, `${name.replace(/\W+/g, "-")}.cpuprofile`));
  return result;
}

/** The order of a round: everybody is the first in turn. */
export function rotated<T>(items: readonly T[], round: number): readonly T[] {
  const first = round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
