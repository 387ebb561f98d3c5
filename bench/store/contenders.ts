import type { Bench } from "../bench.js";
import { busyMsOf } from "../machine.js";
import { monotonicMs } from "../monotonic.js";
import type { BenchServer, Program } from "../processes.js";
import type { StoreName } from "../results.js";
import { sleep } from "../waiting.js";
import type { BareInsertsApi, Engine } from "./bare-inserts.js";
import type { PostgresApi } from "./postgres.js";

/** Someone who makes Registers durable, by so many callers at a time. */
export interface Contender {
  readonly name: StoreName;
  /** Who does so with nothing around it; none for themselves. */
  readonly bare?: StoreName;
  open(callers: number): Promise<Callers>;
}

export interface PulseContender extends Contender {
  /** Registers each of its services once, or once more, and some of them again. */
  registerAll(): Promise<void>;
}

export interface Callers {
  /** Lets all of them call for a while, and measures for `ms`. */
  run(ms: number): Promise<StoreWindow>;
  failures(): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

export interface StoreWindow {
  readonly registersPerSecond: number;
  readonly timesMs: readonly number[];
  readonly programMicros: number;
  readonly postgresMicros: number;
  readonly generatorUtilisation: number;
  readonly othersUtilisation: number;
}

type Postgres = Program<PostgresApi>["api"] | undefined;

/** For the first registration of all. */
const ALL_CALLERS = 100;
const ALL_TIMEOUT_MS = 20_000;
const POLL_MS = 5;
/** From a start until the pace is steady, and from a stop until all is answered. */
const TRANSITION_MS = 50;

/** Pulse, or several of them: callers are spread over them, and each has services of its own. */
export function pulseContender(
  { generator, machine }: Bench,
  name: StoreName,
  bare: StoreName,
  servers: readonly BenchServer[],
  services: number,
  postgres?: Postgres,
): PulseContender {
  const each = Math.floor(services / servers.length);

  const openLoads = (callers: number) =>
    Promise.all(
      servers
        .map((server, i) => ({
          target: server.target,
          connections: Math.floor((callers + servers.length - 1 - i) / servers.length),
          first: i * each,
        }))
        .filter(({ connections }) => connections > 0)
        .map(({ target, connections, first }) =>
          generator.openRegisters(target, { connections, streamsPerConnection: 1 }, each, first),
        ),
    );

  async function registerAll(): Promise<void> {
    const loads = await openLoads(ALL_CALLERS);
    await Promise.all(
      loads.map(async (load) => {
        await generator.start(load);
        await untilDone(load);
        await generator.stop(load);
      }),
    );
    await sleep(TRANSITION_MS);
    for (const load of loads) await generator.close(load);
  }

  async function untilDone(load: number): Promise<void> {
    const deadline = performance.now() + ALL_TIMEOUT_MS;
    for (;;) {
      const { done, failures } = await generator.counters(load);
      const [problem] = Object.keys(failures);
      if (problem !== undefined) throw new Error(`${name}: Register: ${problem}`);
      if (done >= each) return;
      if (performance.now() > deadline)
        throw new Error(`${name}: ${done} Registers in ${ALL_TIMEOUT_MS / 1_000} s`);
      await sleep(POLL_MS);
    }
  }

  async function open(callers: number): Promise<Callers> {
    const loads = await openLoads(callers);
    const counters = () => Promise.all(loads.map((load) => generator.counters(load)));

    async function read() {
      const [counted, usages, postgresMs] = await Promise.all([
        counters(),
        Promise.all(servers.map((server) => server.usage())),
        postgres?.cpuMs() ?? 0,
      ]);
      return {
        atMs: counted[0]?.atMs ?? Number.NaN,
        done: sum(counted.map(({ done }) => done)),
        generatorMs: counted[0]?.generatorCpuMs ?? Number.NaN,
        programMs: sum(usages.map(({ cpuMs }) => cpuMs)),
        postgresMs,
        busyMs: busyMsOf("all"),
      };
    }

    const takeTimes = async () =>
      (await Promise.all(loads.map((load) => generator.takeTimes(load)))).flat();

    return {
      async run(ms) {
        await Promise.all(loads.map((load) => generator.start(load)));
        await sleep(TRANSITION_MS);
        const before = await read();
        await takeTimes();
        await sleep(ms);
        const after = await read();
        const timesMs = await takeTimes();
        await Promise.all(loads.map((load) => generator.stop(load)));
        await sleep(TRANSITION_MS);
        const done = after.done - before.done;
        const tookMs = after.atMs - before.atMs;
        const programMs = after.programMs - before.programMs;
        const postgresMs = after.postgresMs - before.postgresMs;
        const generatorMs = after.generatorMs - before.generatorMs;
        const othersMs = after.busyMs - before.busyMs - programMs - postgresMs - generatorMs;
        return {
          registersPerSecond: (done / tookMs) * 1_000,
          timesMs,
          programMicros: (programMs / done) * 1_000,
          postgresMicros: (postgresMs / done) * 1_000,
          generatorUtilisation: generatorMs / tookMs,
          othersUtilisation: Math.max(0, othersMs) / tookMs / machine.cores,
        };
      },
      async failures() {
        const failures: Record<string, number> = {};
        for (const counted of await counters())
          for (const [problem, count] of Object.entries(counted.failures))
            failures[problem] = (failures[problem] ?? 0) + count;
        return failures;
      },
      async close() {
        await Promise.all(loads.map((load) => generator.close(load)));
      },
    };
  }
  return { name, bare, open, registerAll };
}

/** A loop that inserts the same rows. */
export function bareContender(
  { machine }: Bench,
  bare: Program<BareInsertsApi>["api"],
  name: StoreName,
  engine: Engine,
  postgres?: Postgres,
): Contender {
  return {
    name,
    open: async (callers) => ({
      async run(ms) {
        const read = async () => {
          const [programMs, postgresMs] = await Promise.all([bare.cpuMs(), postgres?.cpuMs() ?? 0]);
          return { atMs: monotonicMs(), programMs, postgresMs, busyMs: busyMsOf("all") };
        };
        const before = await read();
        const { timesMs, tookMs, all } = await bare.run(engine, callers, TRANSITION_MS, ms);
        const after = await read();
        const programMs = after.programMs - before.programMs;
        const postgresMs = after.postgresMs - before.postgresMs;
        const othersMs = after.busyMs - before.busyMs - programMs - postgresMs;
        return {
          registersPerSecond: (timesMs.length / tookMs) * 1_000,
          timesMs,
          programMicros: (programMs / all) * 1_000,
          postgresMicros: (postgresMs / all) * 1_000,
          generatorUtilisation: 0,
          othersUtilisation: Math.max(0, othersMs) / (after.atMs - before.atMs) / machine.cores,
        };
      },
      failures: async () => ({}), // whoever fails there ends the run
      close: async () => {},
    }),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
