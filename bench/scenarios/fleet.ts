import { type Bench, profiled, type Scenario, withServers } from "../bench.js";
import { type BenchServer, SERVER_NAMES, type ServerName } from "../processes.js";
import { countFailures, type FleetFigures, type FleetResult, type Result } from "../results.js";
import { sleep } from "../waiting.js";

/** The size whose time has an aim. */
const TIMED_SERVICES = 5_000;
const MAX_TOTAL_MS = 8_000;
const MAX_KB_PER_CONNECTION = 60;
const TIMEOUT_MS = 30_000;
const SPARE_FILES = 200;
const BYTES_PER_KB = 1_024;

/** Services that all come at once, each on a connection of its own, then stay and heartbeat. */
export const fleetScenario: Scenario = {
  name: "fleet",
  run: async (bench) => {
    const results: Result[] = [];
    for (const services of bench.effort.fleets) results.push(await runFleet(bench, services));
    return results;
  },
};

async function runFleet(bench: Bench, services: number): Promise<Result> {
  const { maxOpenFiles } = bench.machine;
  if (maxOpenFiles !== "unlimited" && maxOpenFiles < services + SPARE_FILES)
    return {
      kind: "skipped",
      name: `fleet of ${services}`,
      why: `a process may open only ${maxOpenFiles} files here: raise it with ulimit -n ${services + SPARE_FILES}`,
    };
  const servers: Partial<Record<ServerName, FleetFigures>> = {};
  for (const name of SERVER_NAMES)
    servers[name] = await withServers(
      bench,
      async ([server]) => {
        if (!server) throw new Error("no server");
        return measureFleet(bench, server, services);
      },
      [name],
    );
  return verdictOn(services, servers);
}

async function measureFleet(
  bench: Bench,
  server: BenchServer,
  services: number,
): Promise<FleetFigures> {
  const { generator, effort } = bench;
  await sleep(effort.settleMs / 2);
  const before = await server.usage();
  const { fleet, outcome } = await profiled(bench, server, `fleet of ${services}`, () =>
    generator.storm(server.target, services, TIMEOUT_MS),
  );
  const after = await server.usage();
  const failures = await generator.beatAll(fleet, effort.settleMs);
  await sleep(effort.settleMs / 2);
  const settled = await server.usage();
  await generator.closeFleet(fleet);
  return {
    totalMs: outcome.totalMs,
    medianMs: outcome.medianMs,
    p99Ms: outcome.p99Ms,
    cpuMicrosPerService: ((after.cpuMs - before.cpuMs) * 1_000) / services,
    rssBytesPerConnection: (settled.rssBytes - before.rssBytes) / services,
    failures,
  };
}

function verdictOn(services: number, servers: FleetResult["servers"]): FleetResult {
  const {
    totalMs = Number.NaN,
    rssBytesPerConnection = Number.NaN,
    failures = {},
  } = servers.Pulse ?? {};
  const isWhole = countFailures(failures) === 0;
  const timeVerdict = {
    aim: `≤ ${MAX_TOTAL_MS / 1_000} s, no failure`,
    isMet: totalMs <= MAX_TOTAL_MS && isWhole,
  };
  return {
    kind: "fleet",
    services,
    servers,
    memoryVerdict: {
      aim: `≤ ${MAX_KB_PER_CONNECTION} KB each`,
      isMet: rssBytesPerConnection <= MAX_KB_PER_CONNECTION * BYTES_PER_KB && isWhole,
    },
    ...(services === TIMED_SERVICES ? { timeVerdict } : {}),
  };
}
