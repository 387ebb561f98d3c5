import { randomBytes } from "node:crypto";
import { type Bench, profiled, rotated, type Scenario } from "../bench.js";
import {
  type BenchServer,
  type Program,
  startBareInserts,
  startPostgres,
  startServer,
} from "../processes.js";
import type { Result, StoreFigures, StoreLevel, StoreName, StoreResult } from "../results.js";
import { pairedRatios, quantilesOf, spreadOf } from "../statistics.js";
import type { BareInsertsApi } from "../store/bare-inserts.js";
import {
  bareContender,
  type Callers,
  type Contender,
  type PulseContender,
  pulseContender,
  type StoreWindow,
} from "../store/contenders.js";
import type { PostgresApi } from "../store/postgres.js";
import { type Growth, growthOf, type Sizes } from "../store/sizes.js";

const SERVICES = 1_000;
const NODES = 3;

/**
 * Durable Registers on each store, beside bare inserts of the same rows: callers who
 * each have a connection of their own, and wait for an answer before they call again.
 */
export const storeScenario: Scenario = {
  name: "store",
  run: async (bench) => [await runStore(bench)],
};

interface Stack {
  readonly postgres: Program<PostgresApi>["api"];
  readonly bare: Program<BareInsertsApi>["api"];
  readonly embedded: BenchServer;
  readonly single: BenchServer;
  readonly singleDatabase: string;
  readonly nodes: readonly BenchServer[];
}

async function runStore(bench: Bench): Promise<Result> {
  const postgres = startPostgres(bench.machine.dataDirectory);
  try {
    const why = await postgres.api.problem();
    if (why !== undefined) return { kind: "skipped", name: "store", why };
    return await withPulses(bench, postgres.api, (stack) => measure(bench, stack));
  } finally {
    await postgres.api.dispose();
    await postgres.stop();
  }
}

/** Nothing but the generator is pinned: PostgreSQL and three nodes need what cores there are. */
async function withPulses<T>(
  bench: Bench,
  postgres: Stack["postgres"],
  use: (stack: Stack) => Promise<T>,
): Promise<T> {
  const { dataDirectory } = bench.machine;
  const bare = startBareInserts();
  const servers: BenchServer[] = [];
  const secretKey = randomBytes(32).toString("hex");
  const start = async (env: NodeJS.ProcessEnv = {}) => {
    const server = await startServer("Pulse", { core: undefined, dataDirectory, env });
    servers.push(server);
    return server;
  };
  const node = (url: string) => start({ PULSE_DATABASE: url, PULSE_SECRET_KEY: secretKey });
  try {
    const singleDatabase = await postgres.createDatabase();
    const sharedDatabase = await postgres.createDatabase();
    const nodes: BenchServer[] = [];
    for (let i = 0; i < NODES; i++) nodes.push(await node(sharedDatabase));
    return await use({
      postgres,
      bare: bare.api,
      embedded: await start(),
      single: await node(singleDatabase),
      singleDatabase,
      nodes,
    });
  } finally {
    await bare.stop();
    for (const server of servers) await server.stop();
  }
}

async function measure(bench: Bench, stack: Stack): Promise<StoreResult> {
  const { postgres, bare, embedded, single, singleDatabase, nodes } = stack;
  const onSqlite = pulseContender(bench, "Pulse on SQLite", "bare SQLite", [embedded], SERVICES);
  const onPostgres = (name: StoreName, servers: readonly BenchServer[]) =>
    pulseContender(bench, name, "bare PostgreSQL", servers, SERVICES, postgres);
  const onOne = onPostgres("Pulse on PostgreSQL", [single]);
  const onThree = onPostgres("three Pulses on PostgreSQL", nodes);

  const growth = {
    SQLite: await fill(onSqlite, () => bare.sqliteSizes(embedded.data)),
    PostgreSQL: await fill(onOne, () => bare.postgresSizes(singleDatabase)),
  };
  await onThree.registerAll();
  const memory = await postgres.memory();
  await bare.openSqlite(embedded.data);
  await bare.openPostgres(singleDatabase, Math.max(...bench.effort.store.callers));
  const contenders: readonly Contender[] = [
    onSqlite,
    bareContender(bench, bare, "bare SQLite", "SQLite"),
    onOne,
    onThree,
    bareContender(bench, bare, "bare PostgreSQL", "PostgreSQL", postgres),
  ];
  const levels: StoreLevel[] = [];
  for (const callers of bench.effort.store.callers)
    levels.push(
      await allProfiled(bench, stack, callers, () => takeTurns(bench, contenders, callers)),
    );
  const { cores, fdatasyncMedianMs } = bench.machine;
  return {
    kind: "store",
    services: SERVICES,
    cores,
    fdatasyncMedianMs,
    levels,
    growth,
    postgres: { version: await postgres.version(), memory },
  };
}

/** Registers all services, then all of them again, and says what that took on the disk. */
async function fill(pulse: PulseContender, sizes: () => Promise<Sizes>): Promise<Growth> {
  const empty = await sizes();
  await pulse.registerAll();
  const filled = await sizes();
  await pulse.registerAll();
  return growthOf(SERVICES, empty, filled, await sizes());
}

async function takeTurns(
  { effort: { store } }: Bench,
  contenders: readonly Contender[],
  callers: number,
): Promise<StoreLevel> {
  const turns: Turn[] = [];
  for (const contender of contenders)
    turns.push({ contender, callers: await contender.open(callers), windows: [] });
  for (let round = 0; round < store.rounds; round++)
    for (const turn of rotated(turns, round))
      turn.windows.push(await turn.callers.run(store.windowMs));
  const figures = new Map<StoreName, StoreFigures>();
  for (const turn of turns) {
    figures.set(turn.contender.name, await figuresOf(turn));
    await turn.callers.close();
  }
  return levelOf(callers, contenders, figures);
}

interface Turn {
  readonly contender: Contender;
  readonly callers: Callers;
  readonly windows: StoreWindow[];
}

async function figuresOf({ callers, windows }: Turn): Promise<StoreFigures> {
  const perSecond = windows.map((window) => window.registersPerSecond);
  const medianOf = (read: (window: StoreWindow) => number) => spreadOf(windows.map(read)).median;
  return {
    registersPerSecond: spreadOf(perSecond),
    windows: perSecond,
    answeredMs: quantilesOf(windows.flatMap(({ timesMs }) => timesMs)),
    programMicros: medianOf(({ programMicros }) => programMicros),
    postgresMicros: medianOf(({ postgresMicros }) => postgresMicros),
    generatorUtilisation: medianOf(({ generatorUtilisation }) => generatorUtilisation),
    othersUtilisation: medianOf(({ othersUtilisation }) => othersUtilisation),
    failures: await callers.failures(),
  };
}

function levelOf(
  callers: number,
  contenders: readonly Contender[],
  figures: ReadonlyMap<StoreName, StoreFigures>,
): StoreLevel {
  const windowsOf = (name: StoreName) => figures.get(name)?.windows ?? [];
  return {
    callers,
    stores: Object.fromEntries(figures) as Record<StoreName, StoreFigures>,
    toBare: Object.fromEntries(
      contenders.flatMap(({ name, bare }) =>
        bare ? [[name, pairedRatios(windowsOf(name), windowsOf(bare))]] : [],
      ),
    ),
  };
}

/** One profile for each way to store, and number of callers. */
function allProfiled<T>(
  bench: Bench,
  { embedded, single, nodes }: Stack,
  callers: number,
  work: () => Promise<T>,
): Promise<T> {
  const places = [
    [embedded, "SQLite"],
    [single, "PostgreSQL"],
    [nodes[0], "first of three nodes"],
  ] as const;
  return places.reduce<() => Promise<T>>(
    (inner, [server, place]) =>
      () =>
        profiled(bench, server, `store ${place} ${callers} callers`, inner),
    work,
  )();
}
