import { type Bench, profiled, rotated, type Servers, withServers } from "./bench.js";
import type { Target } from "./generator/connection.js";
import type { Counters } from "./generator/load.js";
import { busyMsOf } from "./machine.js";
import type { BenchServer, ServerName, Usage } from "./processes.js";
import { type CpuFigures, type CpuResult, countFailures } from "./results.js";
import { pairedRatios, type Spread, spreadOf } from "./statistics.js";
import { sleep } from "./waiting.js";

export interface Comparison {
  readonly name: string;
  readonly shape: string;
  /** Pulse's CPU per operation at most so many times the bare server's. */
  readonly aim: number;
  /** Opens the load against one server, with all it needs there, and returns its number. */
  readonly open: (target: Target) => Promise<number>;
}

interface Contender {
  readonly server: BenchServer;
  readonly load: number;
  readonly windows: Window[];
}

interface Window {
  readonly microsPerOperation: number;
  readonly operationsPerSecond: number;
  readonly serverUtilisation: number;
  readonly generatorUtilisation: number;
  readonly othersUtilisation: number;
  readonly answerBytes: number;
}

interface Reading {
  readonly usage: Usage;
  readonly counters: Counters;
  /** See busyMsOf. */
  readonly coreBusyMs: number;
}

/** From the start of a load until its pace is steady, and from its stop until it is idle. */
const TRANSITION_MS = 60;

/**
 * Runs the load against all servers in turns (A B C, B C A, …), since a shared
 * machine is faster in one second and slower in the next; and compares them round
 * by round.
 */
export function compare(bench: Bench, comparison: Comparison): Promise<CpuResult> {
  return withServers(bench, async (servers) => {
    const contenders = await openLoads(servers, comparison);
    for (const contender of contenders) await runWindow(bench, contender, bench.effort.warmUpMs);
    const pulse = servers.find(({ name }) => name === "Pulse");
    await profiled(bench, pulse, `${comparison.name} ${comparison.shape}`, () =>
      takeTurns(bench, contenders),
    );
    const figures = await Promise.all(contenders.map((contender) => figuresOf(bench, contender)));
    for (const { load } of contenders) await bench.generator.close(load);
    return resultOf(comparison, contenders, figures);
  });
}

async function takeTurns(bench: Bench, contenders: readonly Contender[]): Promise<void> {
  for (let round = 0; round < bench.effort.rounds; round++) {
    for (const contender of rotated(contenders, round))
      contender.windows.push(await runWindow(bench, contender, bench.effort.windowMs));
  }
}

function openLoads(servers: Servers, { open }: Comparison): Promise<Contender[]> {
  return Promise.all(
    servers.map(async (server) => ({ server, load: await open(server.target), windows: [] })),
  );
}

async function runWindow(
  { generator, machine }: Bench,
  { server, load }: Contender,
  ms: number,
): Promise<Window> {
  const { pinning } = machine;
  const read = async (): Promise<Reading> => {
    const coreBusyMs = typeof pinning === "string" ? Number.NaN : busyMsOf(pinning.server);
    const [usage, counters] = await Promise.all([server.usage(), generator.counters(load)]);
    return { usage, counters, coreBusyMs };
  };
  await generator.start(load);
  await sleep(TRANSITION_MS);
  const before = await read();
  await sleep(ms);
  const after = await read();
  await generator.stop(load);
  await sleep(TRANSITION_MS);
  return windowOf(before, after);
}

/** Server and generator are not asked at the very same time, so each counts by its own clock. */
function windowOf(before: Reading, after: Reading): Window {
  const serverMs = after.usage.atMs - before.usage.atMs;
  const generatorMs = after.counters.atMs - before.counters.atMs;
  const serverCpuMs = after.usage.cpuMs - before.usage.cpuMs;
  const generatorCpuMs = after.counters.generatorCpuMs - before.counters.generatorCpuMs;
  const operations = after.counters.done - before.counters.done;
  const operationsPerMs = operations / generatorMs;
  return {
    microsPerOperation: ((serverCpuMs / serverMs) * 1_000) / operationsPerMs,
    operationsPerSecond: operationsPerMs * 1_000,
    serverUtilisation: serverCpuMs / serverMs,
    generatorUtilisation: generatorCpuMs / generatorMs,
    othersUtilisation: Math.max(0, after.coreBusyMs - before.coreBusyMs - serverCpuMs) / serverMs,
    answerBytes: (after.counters.answerBytes - before.counters.answerBytes) / operations,
  };
}

async function figuresOf({ generator }: Bench, { load, windows }: Contender): Promise<CpuFigures> {
  const { failures } = await generator.counters(load);
  const micros = windows.map((window) => window.microsPerOperation);
  const medianOf = (key: keyof Window) => spreadOf(windows.map((window) => window[key])).median;
  return {
    microsPerOperation: spreadOf(micros),
    windows: micros,
    operationsPerSecond: medianOf("operationsPerSecond"),
    serverUtilisation: medianOf("serverUtilisation"),
    generatorUtilisation: medianOf("generatorUtilisation"),
    othersUtilisation: medianOf("othersUtilisation"),
    answerBytes: medianOf("answerBytes"),
    failures,
  };
}

function resultOf(
  { name, shape, aim }: Comparison,
  contenders: readonly Contender[],
  figures: readonly CpuFigures[],
): CpuResult {
  const servers = Object.fromEntries(
    contenders.map(({ server }, index) => [server.name, figures[index]]),
  ) as Record<ServerName, CpuFigures>;
  const toBare = ratios(contenders, "bare grpc-js");
  const failed = figures.reduce((sum, { failures }) => sum + countFailures(failures), 0);
  return {
    kind: "cpu",
    name,
    shape,
    servers,
    toBare,
    toEcho: ratios(contenders, "raw echo"),
    verdict: { aim: `≤ ${aim}`, isMet: toBare.median <= aim && failed === 0 },
  };
}

function ratios(contenders: readonly Contender[], reference: ServerName): Spread {
  const microsOf = (name: ServerName) =>
    contenders
      .find(({ server }) => server.name === name)
      ?.windows.map(({ microsPerOperation }) => microsPerOperation) ?? [];
  return pairedRatios(microsOf("Pulse"), microsOf(reference));
}
