import type { HaulClientFigures, HaulResult } from "./results.js";
import type { Spread } from "./statistics.js";
import { newTable, verdictCells } from "./tables.js";

/** Of Haul beside real download clients. */
export function renderHaul({ missing, starts, nodeMs, clients, agent }: HaulResult): string {
  const times = newTable(
    ["until a manager is logged in at the client, ms", "from haul run", "", "a log-in alone", ""],
    4,
  );
  for (const { title, version, loggedInMs, logInMs } of clients)
    times.push([`${title} ${version}`, ...milliseconds(loggedInMs), ...milliseconds(logInMs)]);
  const costs = newTable([
    "CPU of the client",
    "a probe, ms",
    "with a log-in, ms",
    "at Haul's pace",
    "aim",
    "",
    "idle",
  ]);
  for (const client of clients) costs.push(costCells(client));
  const memory = newTable([`one Haul beside all ${clients.length}`, "", "aim", ""], 1);
  const { loggedInMs, nodeBytes, registeredBytes, restedBytes, proportionalBytes, restMs } = agent;
  memory.push(
    ["until a manager is logged in everywhere, ms", loggedInMs.toFixed(0), "", ""],
    ["RSS at that moment, MB", megabytes(registeredBytes), "", ""],
    [`RSS after ${restMs / 1_000} s, MB`, megabytes(restedBytes), ...verdictCells(agent.verdict)],
    ["its proportional share then, MB", megabytes(proportionalBytes), "", ""],
    ["(RSS of Node itself, MB)", megabytes(nodeBytes), "", ""],
    ["CPU meanwhile, % of a core", finePercent(agent.utilisation), "", ""],
    ["the same of all clients together", finePercent(agent.clientsUtilisation), "", ""],
  );
  const node = `${nodeMs.median.toFixed(0)} (${nodeMs.min.toFixed(0)}–${nodeMs.max.toFixed(0)}) ms`;
  return [
    times.toString(),
    `${starts} starts each, with a fresh state; Node itself runs its first line after ${node}`,
    costs.toString(),
    "Probes by Haul's adapter, one right after the other; Haul's pace: one every 8 s, with a log-in every 10 min",
    memory.toString(),
    ...(missing.length > 0 ? [`NOT MEASURED: haul: ${missing.join(", ")}: not installed`] : []),
  ].join("\n");
}

function costCells(client: HaulClientFigures): string[] {
  const { title, version, probeCpuMs, logInCpuMs, utilisation, idleUtilisation } = client;
  return [
    `${title} ${version}`,
    probeCpuMs.toFixed(1),
    logInCpuMs.toFixed(1),
    `${finePercent(utilisation)} %`,
    ...verdictCells(client.verdict),
    `${finePercent(idleUtilisation)} %`,
  ];
}

function milliseconds({ median, min, max }: Spread): string[] {
  return [median.toFixed(0), `${min.toFixed(0)}–${max.toFixed(0)}`];
}

function megabytes(bytes: number): string {
  return (bytes / 1_024 ** 2).toFixed(1);
}

function finePercent(part: number): string {
  return (part * 100).toFixed(2);
}
