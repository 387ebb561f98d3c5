import { measureNode, startHaul } from "../attach/starts.js";
import { type Bench, type Scenario, withServers } from "../bench.js";
import { measureAgent } from "../haul/agent.js";
import { type BenchClient, INSTALLED_KINDS, MISSING_TITLES, withClients } from "../haul/clients.js";
import { measureIdle, measureProbes } from "../haul/probes.js";
import { loggedInAtMs, type Stage } from "../haul/stage.js";
import { startManager } from "../processes.js";
import type { HaulClientFigures, HaulResult, Result } from "../results.js";
import { spreadOf } from "../statistics.js";

const MAX_UTILISATION = 0.01;
/** Haul asks every 8 to 10 s, and logs in anew every 10 min. */
const PROBE_INTERVAL_MS = 8_000;
const LOG_IN_INTERVAL_MS = 10 * 60_000;

/** Haul beside the download clients that are installed: how soon a manager is in, and what it costs. */
export const haulScenario: Scenario = {
  name: "haul",
  run: async (bench) => [await runHaul(bench)],
};

async function runHaul(bench: Bench): Promise<Result> {
  if (INSTALLED_KINDS.length === 0)
    return { kind: "skipped", name: "haul", why: "no download client is installed here" };
  return withServers(
    bench,
    async ([pulse]) => {
      if (!pulse) throw new Error("no server");
      const { target } = pulse;
      const manager = startManager();
      try {
        await manager.api.watch(`http://127.0.0.1:${target.port}`, target.token);
        const stage = { bench, target, manager: manager.api };
        return await withClients((clients) => measure(stage, clients));
      } finally {
        await manager.stop();
      }
    },
    ["Pulse"],
  );
}

async function measure(stage: Stage, clients: readonly BenchClient[]): Promise<HaulResult> {
  const { starts, idleMs } = stage.bench.effort.haul;
  const idle = await measureIdle(clients, idleMs);
  const nodeMs: number[] = [];
  const figures: HaulClientFigures[] = [];
  for (const [i, client] of clients.entries()) {
    nodeMs.push(await measureNode());
    figures.push(await measureClient(stage, client, idle[i] ?? Number.NaN));
  }
  return {
    kind: "haul",
    missing: MISSING_TITLES,
    starts,
    nodeMs: spreadOf(nodeMs),
    clients: figures,
    agent: await measureAgent(stage, clients),
  };
}

async function measureClient(
  stage: Stage,
  client: BenchClient,
  idleUtilisation: number,
): Promise<HaulClientFigures> {
  const { starts, ...effort } = stage.bench.effort.haul;
  const { title, kind, host, port, username, password } = client;
  const access = { kind, host, port, useSsl: false, urlBase: "", username, password };
  const logInMs: number[] = [];
  const loggedInMs: number[] = [];
  for (let i = 0; i < starts; i++) {
    logInMs.push(await stage.manager.logInMs(access));
    loggedInMs.push(await measureStart(stage, client, `${kind}-${i}`));
  }
  const { version, probeCpuMs, logInCpuMs } = await measureProbes(client, idleUtilisation, effort);
  const utilisation = probeCpuMs / PROBE_INTERVAL_MS + logInCpuMs / LOG_IN_INTERVAL_MS;
  return {
    title,
    version,
    loggedInMs: spreadOf(loggedInMs),
    logInMs: spreadOf(logInMs),
    probeCpuMs,
    logInCpuMs,
    utilisation,
    idleUtilisation,
    verdict: { aim: "< 1 %", isMet: utilisation < MAX_UTILISATION },
  };
}

/** From a Haul being spawned, with options alone, until the manager is logged in. */
async function measureStart(stage: Stage, client: BenchClient, name: string): Promise<number> {
  const { kind, url, username, passwordFile } = client;
  const haul = startHaul(stage.target, name, stage.bench.machine.dataDirectory, [
    ...["--kind", kind, "--url", url, "--password-file", passwordFile],
    ...(username === "" ? [] : ["--username", username]),
  ]);
  try {
    return (await loggedInAtMs(stage, haul, [name])) - haul.spawnedAtMs;
  } finally {
    await haul.stop();
  }
}
