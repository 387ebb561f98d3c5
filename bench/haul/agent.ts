import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { residentBytes } from "../../test/support/process-memory.js";
import { startHaul } from "../attach/starts.js";
import { familyCpuMs, familyMemory } from "../family-usage.js";
import type { HaulAgentFigures } from "../results.js";
import { sleep } from "../waiting.js";
import { type BenchClient, clientCpuMs } from "./clients.js";
import { loggedInAtMs, type Stage } from "./stage.js";

const MEGABYTE = 1_024 ** 2;
const MAX_MEGABYTES = 90;

/** What one Haul takes that was told of all of them by a file. */
export async function measureAgent(
  stage: Stage,
  clients: readonly BenchClient[],
): Promise<HaulAgentFigures> {
  const { machine, effort } = stage.bench;
  const { restMs } = effort.haul;
  const file = join(machine.dataDirectory, "haul.yaml");
  await writeFile(file, configurationOf(clients));
  const haul = startHaul(stage.target, "haul", machine.dataDirectory, ["--config", file]);
  const { pid } = haul;
  try {
    const names = clients.map(({ title }) => title);
    const loggedInMs = (await loggedInAtMs(stage, haul, names)) - haul.spawnedAtMs;
    const registeredBytes = await residentBytes(pid);
    const [cpuMs, clientsMs] = [familyCpuMs(pid), allCpuMs(clients)];
    await sleep(restMs);
    const restedBytes = await residentBytes(pid);
    return {
      loggedInMs,
      nodeBytes: residentBytesOfNode(),
      registeredBytes,
      restedBytes,
      proportionalBytes: familyMemory(pid).bytes,
      restMs,
      utilisation: (familyCpuMs(pid) - cpuMs) / restMs,
      clientsUtilisation: (allCpuMs(clients) - clientsMs) / restMs,
      verdict: {
        aim: `≤ ${MAX_MEGABYTES} MB`,
        isMet: restedBytes <= MAX_MEGABYTES * MEGABYTE,
      },
    };
  } finally {
    await haul.stop();
  }
}

/** Of a program of one line. */
function residentBytesOfNode(): number {
  const line = "console.log(process.memoryUsage.rss())";
  return Number(execFileSync(process.execPath, ["-e", line], { encoding: "utf8" }));
}

function allCpuMs(clients: readonly BenchClient[]): number {
  return clients.reduce((sum, client) => sum + clientCpuMs(client), 0);
}

function configurationOf(clients: readonly BenchClient[]): string {
  const described = clients.map(({ title, kind, url, username, passwordFile }) =>
    [
      `  - name: ${title}`,
      `    kind: ${kind}`,
      `    url: ${url}`,
      ...(username === "" ? [] : [`    username: ${username}`]),
      `    password_file: ${passwordFile}`,
    ].join("\n"),
  );
  return `clients:\n${described.join("\n")}\n`;
}
