import { doubtsOf, whereOf } from "./doubts.js";
import { renderHaul } from "./haul-report.js";
import type { Machine } from "./machine.js";
import { SERVER_NAMES } from "./processes.js";
import {
  type CpuResult,
  countFailures,
  type FleetFigures,
  type FleetResult,
  failuresOf,
  type Result,
  type Verdict,
} from "./results.js";
import { renderStore } from "./store-report.js";
import { kilobytes, newTable, spread, verdictCells } from "./tables.js";
import { renderAttach, renderFanOut } from "./watch-report.js";

/** The report for people. */
export function renderReport(machine: Machine, results: readonly Result[]): string {
  const cpu = results.filter((result) => result.kind === "cpu");
  const fleets = results.filter((result) => result.kind === "fleet");
  const fanOuts = results.filter((result) => result.kind === "fan-out");
  const attachments = results.filter((result) => result.kind === "attach");
  const hauls = results.filter((result) => result.kind === "haul");
  const stores = results.filter((result) => result.kind === "store");
  const skipped = results.filter((result) => result.kind === "skipped");
  return [
    renderMachine(machine),
    ...(cpu.length > 0 ? [renderCpu(cpu)] : []),
    ...(fleets.length > 0 ? [renderFleets(fleets)] : []),
    ...fanOuts.map(renderFanOut),
    ...attachments.map(renderAttach),
    ...hauls.map(renderHaul),
    ...stores.map(renderStore),
    ...skipped.map(({ name, why }) => `NOT MEASURED: ${name}: ${why}`),
    [...results.flatMap(doubtsOf), ...renderFailures(results)].join("\n"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function renderMachine(machine: Machine): string {
  const { node, cpu, cores, loadAverage, pinning, dataDirectory, filesystem } = machine;
  const pinned =
    typeof pinning === "string"
      ? pinning
      : `server on core ${pinning.server}, generator on core ${pinning.generator}`;
  return [
    `Node ${node}, ${cpu}, ${cores} cores, load ${loadAverage.toFixed(1)}; ${pinned}`,
    `Data on ${filesystem} (${dataDirectory}); one fdatasync takes ${machine.fdatasyncMedianMs.toFixed(2)} ms`,
  ].join("\n");
}

function renderCpu(results: readonly CpuResult[]): string {
  const table = newTable([
    "server CPU per operation, µs",
    ...SERVER_NAMES,
    "Pulse / bare",
    "aim",
    "",
    "Pulse / echo",
    "Pulse per s",
  ]);
  for (const { name, shape, servers, toBare, toEcho, verdict } of results)
    table.push([
      `${name}: ${shape}`,
      ...SERVER_NAMES.map((server) => servers[server].microsPerOperation.median.toFixed(1)),
      spread(toBare),
      ...verdictCells(verdict),
      spread(toEcho),
      Math.round(servers.Pulse.operationsPerSecond).toLocaleString("en"),
    ]);
  return table.toString();
}

function renderFleets(results: readonly FleetResult[]): string {
  const table = newTable(["services that come all at once", ...SERVER_NAMES, "aim", ""]);
  for (const { services, servers, memoryVerdict, timeVerdict } of results) {
    const row = (
      what: string,
      read: (figures: FleetFigures) => string,
      verdict: Verdict | undefined,
    ): void => {
      const cells = SERVER_NAMES.map((name) => {
        const figures = servers[name];
        return figures ? read(figures) : "–";
      });
      const label = `${services.toLocaleString("en")}: ${what}`;
      table.push([label, ...cells, ...(verdict ? verdictCells(verdict) : ["", ""])]);
    };
    row("until the last is up, s", ({ totalMs }) => (totalMs / 1_000).toFixed(2), timeVerdict);
    row("failed", ({ failures }) => String(countFailures(failures)), undefined);
    row("server CPU each, µs", (figures) => figures.cpuMicrosPerService.toFixed(0), undefined);
    row(
      "RSS growth each, KB",
      ({ rssBytesPerConnection }) => kilobytes(rssBytesPerConnection),
      memoryVerdict,
    );
  }
  return [table.toString(), ...results.slice(1).map((to, i) => renderGrowth(results[i], to))].join(
    "\n",
  );
}

/** What each further connection takes: a heap that grows once, whoever comes, does not count here. */
function renderGrowth(from: FleetResult | undefined, to: FleetResult): string {
  const parts = SERVER_NAMES.map((name) => {
    const less = from?.servers[name]?.rssBytesPerConnection ?? Number.NaN;
    const more = to.servers[name]?.rssBytesPerConnection ?? Number.NaN;
    const services = from?.services ?? 0;
    const each = (more * to.services - less * services) / (to.services - services);
    return `${name} ${kilobytes(each)} KB`;
  });
  return `Each service beyond the first ${from?.services.toLocaleString("en")}: ${parts.join(", ")}`;
}

function renderFailures(results: readonly Result[]): string[] {
  return results.flatMap((result) =>
    failuresOf(result).flatMap(([server, failures]) =>
      Object.entries(failures).map(
        ([problem, count]) => `FAILED: ${whereOf(result, server)}: ${count} × ${problem}`,
      ),
    ),
  );
}
