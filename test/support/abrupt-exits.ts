import { setTimeout as sleep } from "node:timers/promises";
import type { ExpectStatic } from "vitest";
import {
  type DownloadClient,
  type Registration,
  registerWithRetry,
  type Watch,
  watchDownloadClients,
} from "../../src/client/index.js";
import { AbruptClients } from "./abrupt-clients.js";
import { Clients } from "./clients.js";
import { eventually } from "./eventually.js";
import { EMITTER_PROBE, type Memory, memoryOf } from "./preload.js";
import type { RunningProgram } from "./processes.js";
import { HAUL } from "./pulse.js";
import { RandomCuts } from "./random-cuts.js";
import { seededRandom } from "./seeded-random.js";
import type { Stack } from "./stack.js";
import { growthEach } from "./trend.js";

/** As much as is full after a few exits, so that it grows no more. */
const SERVE_ARGS = ["--history-changes", "100"];
/** Callers, each on its own connection. */
const CALLERS = 16;
/** Of all exits of clients, so many are those of real ones; the others say what these have said. */
const REAL_SHARE = 0.2;
/** Pulse forgets closed sessions when it next looks for silent ones, each 2.5 s. */
const SETTLE_MS = 3_000;
/** pino's level of errors. */
const ERROR_LEVEL = 50;

/** What the other side held after so many exits, all of them gone and nobody busy. */
export interface ExitSample {
  readonly exits: number;
  readonly memory: Memory;
}

/** What became of those who stayed. */
export interface ExitReport {
  /** After each round. */
  readonly samples: readonly ExitSample[];
  /** Log lines of errors that any Pulse wrote, and what happened to a service that nobody touched. */
  readonly errors: readonly unknown[];
}

/** What an exit may leave behind of the noise of few of them. */
export interface LeakBounds {
  readonly bytes: number;
  readonly emitters: number;
}

/** No error, no leak: all that is promised of those who stayed. */
export function leavesNothing(expect: ExpectStatic, report: ExitReport, bounds: LeakBounds): void {
  expect(report.errors).toEqual([]);
  expect(new Set(handlesOf(report)).size).toBe(1);
  expect(heapEach(report)).toBeLessThan(bounds.bytes);
  expect(emittersEach(report)).not.toBeGreaterThan(bounds.emitters); // or it is not known
}

/** Heap that each exit has left behind, in bytes, from the first sample on. */
export function heapEach({ samples }: ExitReport): number {
  return growthEach(samples.map(({ exits, memory }) => [exits, memory.heapUsed]));
}

/** Sockets, sessions, streams and calls that each exit has left behind; NaN before Node 20.13. */
function emittersEach({ samples }: ExitReport): number {
  return growthEach(samples.map(({ exits, memory }) => [exits, memory.emitters ?? Number.NaN]));
}

/** Open files and sockets after each round. */
export function handlesOf({ samples }: ExitReport): string[] {
  return samples.map(({ memory }) => held(memory));
}

/**
 * Clients that exit in the middle of a frame, a call, a stream or its answer, in rounds
 * of so many. What Pulse holds is sampled.
 */
export async function exitClients(
  stack: Stack,
  rounds: number,
  exitsEach: number,
): Promise<ExitReport> {
  const random = seededRandom(28);
  const pulse = await stack.startPulse(EMITTER_PROBE, SERVE_ARGS);
  const untouched = await Untouched.begin(stack);
  const cuts = await RandomCuts.open(stack.port, CALLERS, random);
  try {
    const none = { members: 0, watches: 0 };
    const real = await Clients.start(stack, { ports: cuts.ports, ...none, callers: CALLERS });
    const recorded = await AbruptClients.record(stack.port, await stack.token(), random);
    const samples: ExitSample[] = [];
    let exits = 0;
    for (let round = 0; round < rounds; round++) {
      const realExits = Math.round(exitsEach * REAL_SHARE);
      const from = cuts.count;
      cuts.begin();
      await recorded.exit(exitsEach - realExits);
      await cuts.reach(from + realExits);
      await cuts.rest();
      exits += exitsEach - realExits + cuts.count - from;
      await sleep(SETTLE_MS);
      samples.push({ exits, memory: await memoryAtRest(pulse, real, samples[0]) });
    }
    return { samples, errors: [...errorsOf(pulse), ...untouched.troubles] };
  } finally {
    await cuts.close();
    await untouched.end();
  }
}

/**
 * Pulse exits in the middle of a frame, a call, a stream or its answer, in rounds of so
 * many, as its clients see it: something between cuts their connection. It also is killed
 * itself, `kills` times each round. What the clients hold is sampled.
 */
export async function exitPulse(
  stack: Stack,
  rounds: number,
  exitsEach: number,
  kills: number,
): Promise<ExitReport> {
  const random = seededRandom(29);
  let pulse = await stack.startPulse({}, SERVE_ARGS);
  const cuts = await RandomCuts.open(stack.port, CALLERS, random);
  try {
    const config = { ports: cuts.ports, members: CALLERS, watches: CALLERS, callers: CALLERS };
    const clients = await Clients.start(stack, config, EMITTER_PROBE);
    await clients.areWell();
    const samples: ExitSample[] = [];
    const errors: unknown[] = [];
    let exits = 0;
    for (let round = 0; round < rounds; round++) {
      const from = cuts.count;
      cuts.begin();
      await cuts.reach(from + exitsEach);
      await cuts.rest();
      exits += cuts.count - from;
      for (let kill = 0; kill < kills; kill++) {
        await sleep(random.next() * 500);
        pulse.kill("SIGKILL");
        await pulse.exit;
        errors.push(...errorsOf(pulse));
        pulse = await stack.startPulse({}, SERVE_ARGS);
      }
      samples.push({ exits, memory: await memoryAtRest(clients.program, clients, samples[0]) });
    }
    return { samples, errors: [...errors, ...errorsOf(pulse)] };
  } finally {
    await cuts.close();
  }
}

/** A service and a watch of a client that stays, in this process. */
class Untouched {
  readonly troubles: string[] = [];

  private constructor(
    private readonly service: Registration,
    private readonly watch: Watch<DownloadClient>,
  ) {
    service.subscribe(({ type }) => this.troubles.push(`service: ${type}`));
    void this.#read();
  }

  static async begin(stack: Stack): Promise<Untouched> {
    const connection = { pulse: stack.url, token: await stack.token() };
    const service = await registerWithRetry({
      ...connection,
      service: { ...HAUL.service, name: "untouched" },
      identity: { instanceId: "untouched", instanceSecret: "the secret of this one" },
    });
    const watch = watchDownloadClients(connection);
    await eventually(() => {
      if (watch.current().state !== "live") throw new Error("the watch is not live");
    });
    return new Untouched(service, watch);
  }

  async end(): Promise<void> {
    await this.watch.close();
    await this.service.close();
  }

  async #read(): Promise<void> {
    for await (const event of this.watch)
      if (event.type === "stale" || event.type === "rejected")
        this.troubles.push(`watch: ${event.error.message}`);
  }
}

/** Once what was cut has come back, and those that are gone are known to be. */
async function memoryAtRest(
  program: RunningProgram,
  clients: Clients,
  before: ExitSample | undefined,
): Promise<Memory> {
  await clients.areWell();
  return clients.whileResting(() =>
    eventually(async () => {
      const memory = await memoryOf(program);
      if (before && held(memory) !== held(before.memory))
        throw new Error(`it holds ${held(memory)}, and held ${held(before.memory)} before`);
      return memory;
    }, 30_000),
  );
}

function held({ files, handles }: Memory): string {
  return `${files} files, ${handles.TCPSocketWrap ?? 0} sockets`;
}

function errorsOf({ lines }: RunningProgram): unknown[] {
  return lines.filter(({ level }) => Number(level) >= ERROR_LEVEL);
}
