import { type Bench, profiled, rotated, type Scenario, withServers } from "../bench.js";
import type { ChangeTimes } from "../generator/watchers.js";
import { busyMsOf } from "../machine.js";
import { type BenchServer, SERVER_NAMES, type ServerName } from "../processes.js";
import { countFailures, type FanOutFigures, type FanOutResult, type Result } from "../results.js";
import { pairedRatios, quantilesOf, spreadOf } from "../statistics.js";
import { sleep } from "../waiting.js";

const ENTRIES = 20;
const MAX_LAST_MS = 150;
const MAX_TO_RAW = 3;
/** After everybody has a change, before the next: each finds the server idle. */
const PAUSE_MS = 10;
const WARM_UP_CHANGES = 12;
const SPARE_FILES = 200;

/** Changes, one after the other, to watchers that each have a connection of their own. */
export const fanOutScenario: Scenario = {
  name: "fan-out",
  run: async (bench) => [await runFanOut(bench)],
};

/** A server and those who watch it. */
interface Contender {
  readonly server: BenchServer;
  readonly watchers: number;
  readonly rssBytesPerWatcher: number;
  readonly rounds: Round[];
}

interface Round {
  readonly times: readonly ChangeTimes[];
  readonly microsPerDelivery: number;
  readonly othersUtilisation: number;
}

async function runFanOut(bench: Bench): Promise<Result> {
  const { machine, effort } = bench;
  const files = effort.watchers * SERVER_NAMES.length + SPARE_FILES;
  if (machine.maxOpenFiles !== "unlimited" && machine.maxOpenFiles < files)
    return {
      kind: "skipped",
      name: `fan-out to ${effort.watchers}`,
      why: `a process may open only ${machine.maxOpenFiles} files here: raise it with ulimit -n ${files}`,
    };
  return withServers(bench, async (servers) => {
    const contenders = await openWatchers(bench, servers);
    const pulse = servers.find(({ name }) => name === "Pulse");
    await profiled(bench, pulse, `fan-out to ${effort.watchers}`, async () => {
      for (let round = 0; round < effort.rounds; round++)
        for (const contender of rotated(contenders, round))
          contender.rounds.push(await runRound(bench, contender));
    });
    const figures = await Promise.all(contenders.map((contender) => figuresOf(bench, contender)));
    for (const { watchers } of contenders) await bench.generator.closeWatchers(watchers);
    return resultOf(bench, contenders, figures);
  });
}

/** Pulse comes first: what its watchers are told, the references tell theirs. */
async function openWatchers(
  bench: Bench,
  servers: readonly BenchServer[],
): Promise<readonly Contender[]> {
  const { generator } = bench;
  const contenders: Contender[] = [];
  for (const server of servers) {
    const model = contenders[0]?.watchers;
    // All entries but the one that will change: their services stay.
    if (model === undefined)
      await generator.openHeartbeats(server.target, {
        connections: 1,
        streamsPerConnection: ENTRIES - 1,
      });
    const contender = await openContender(
      bench,
      server,
      model === undefined ? { entries: ENTRIES } : { model },
    );
    contenders.push(contender);
    await generator.change(contender.watchers, WARM_UP_CHANGES, PAUSE_MS);
  }
  return contenders;
}

async function openContender(
  { generator, effort }: Bench,
  server: BenchServer,
  of: { readonly entries: number } | { readonly model: number },
): Promise<Contender> {
  await sleep(effort.settleMs / 2);
  const before = await server.usage();
  const watchers = await generator.openWatchers(server.target, effort.watchers, of);
  await sleep(effort.settleMs);
  const settled = await server.usage();
  const rssBytesPerWatcher = (settled.rssBytes - before.rssBytes) / effort.watchers;
  return { server, watchers, rssBytesPerWatcher, rounds: [] };
}

async function runRound(
  { generator, machine: { pinning }, effort }: Bench,
  { server, watchers }: Contender,
): Promise<Round> {
  const coreBusyMs = () => (typeof pinning === "string" ? Number.NaN : busyMsOf(pinning.server));
  const busyBefore = coreBusyMs();
  const before = await server.usage();
  const times = await generator.change(watchers, effort.changesPerRound, PAUSE_MS);
  const after = await server.usage();
  const cpuMs = after.cpuMs - before.cpuMs;
  return {
    times,
    microsPerDelivery: (cpuMs * 1_000) / (times.length * effort.watchers),
    othersUtilisation: Math.max(0, coreBusyMs() - busyBefore - cpuMs) / (after.atMs - before.atMs),
  };
}

async function figuresOf(
  { generator }: Bench,
  { watchers, rounds, rssBytesPerWatcher }: Contender,
): Promise<FanOutFigures> {
  const { failures, answerBytes, done } = await generator.watchersCounters(watchers);
  const times = rounds.flatMap((round) => round.times);
  const micros = rounds.map(({ microsPerDelivery }) => microsPerDelivery);
  const over = (read: (time: ChangeTimes) => number) => quantilesOf(times.map(read));
  return {
    changes: times.length,
    replyMs: over(({ replyMs }) => replyMs),
    firstMs: over(({ firstMs }) => firstMs),
    middleMs: over(({ middleMs }) => middleMs),
    lastMs: over(({ lastMs }) => lastMs),
    lastAfterReplyMs: over(({ lastMs, replyMs }) => lastMs - replyMs),
    cpuMicrosPerDelivery: spreadOf(micros),
    rounds: micros,
    othersUtilisation: spreadOf(rounds.map((round) => round.othersUtilisation)).median,
    messageBytes: answerBytes / done,
    rssBytesPerWatcher,
    failures,
  };
}

function resultOf(
  { effort }: Bench,
  contenders: readonly Contender[],
  figures: readonly FanOutFigures[],
): FanOutResult {
  const servers = Object.fromEntries(
    contenders.map(({ server }, index) => [server.name, figures[index]]),
  ) as Record<ServerName, FanOutFigures>;
  const { Pulse: pulse } = servers;
  const toRaw = pairedRatios(pulse.rounds, servers["raw echo"].rounds);
  const isWhole = figures.every(({ failures }) => countFailures(failures) === 0);
  return {
    kind: "fan-out",
    watchers: effort.watchers,
    entries: ENTRIES,
    servers,
    toBare: pairedRatios(pulse.rounds, servers["bare grpc-js"].rounds),
    toRaw,
    timeVerdict: {
      aim: `≤ ${MAX_LAST_MS} ms`,
      isMet: pulse.lastMs.p50 <= MAX_LAST_MS && isWhole,
    },
    cpuVerdict: { aim: `≤ ${MAX_TO_RAW} × raw`, isMet: toRaw.median <= MAX_TO_RAW && isWhole },
  };
}
