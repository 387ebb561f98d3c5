import Table from "cli-table3";
import type { Machine } from "./machine.js";
import { SERVER_NAMES } from "./processes.js";
import {
  type CpuResult,
  countFailures,
  type FleetFigures,
  type FleetResult,
  type Result,
  type Verdict,
} from "./results.js";
import type { Spread } from "./statistics.js";

/** Parts of the server's core that others may use, and of an answer's size, before it is said. */
const MAX_OTHERS = 0.1;
const MAX_SIZE_DIFFERENCE = 0.1;

/** The report for people. */
export function renderReport(machine: Machine, results: readonly Result[]): string {
  const cpu = results.filter((result) => result.kind === "cpu");
  const fleets = results.filter((result) => result.kind === "fleet");
  const skipped = results.filter((result) => result.kind === "skipped");
  return [
    renderMachine(machine),
    ...(cpu.length > 0 ? [renderCpu(cpu)] : []),
    ...(fleets.length > 0 ? [renderFleets(fleets)] : []),
    ...skipped.map(({ name, why }) => `NOT MEASURED: ${name}: ${why}`),
    [...warnings(cpu), ...renderFailures(results)].join("\n"),
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

function newTable(head: string[]): InstanceType<typeof Table> {
  return new Table({
    head,
    style: { head: [], border: [], compact: true },
    colAligns: ["left", "right", "right", "right"],
  });
}

/** What casts doubt on a figure. */
function warnings(results: readonly CpuResult[]): string[] {
  return results
    .flatMap((result) =>
      SERVER_NAMES.flatMap((server) => {
        const { generatorUtilisation, serverUtilisation, othersUtilisation, answerBytes } =
          result.servers[server];
        const where = `${result.name} (${result.shape}), ${server}`;
        const bareBytes = result.servers["bare grpc-js"].answerBytes;
        const isOtherSize =
          server === "Pulse" && Math.abs(answerBytes / bareBytes - 1) > MAX_SIZE_DIFFERENCE;
        return [
          ...(generatorUtilisation > 0.95
            ? [
                `${where}: the generator was at its limit (${percent(generatorUtilisation)} of its core, the server ${percent(serverUtilisation)}): what the server could do is more than this rate`,
              ]
            : []),
          ...(othersUtilisation > MAX_OTHERS
            ? [`${where}: others used ${percent(othersUtilisation)} of the server's core`]
            : []),
          ...(isOtherSize
            ? [
                `${where}: an answer is ${answerBytes.toFixed(0)} bytes, of the bare server ${bareBytes.toFixed(0)}: the comparison is not fair`,
              ]
            : []),
        ];
      }),
    )
    .map((warning) => `WARNING: ${warning}`);
}

function renderFailures(results: readonly Result[]): string[] {
  return results.flatMap((result) => {
    if (result.kind === "skipped") return [];
    const name =
      result.kind === "cpu" ? `${result.name} (${result.shape})` : `fleet of ${result.services}`;
    return SERVER_NAMES.flatMap((server) =>
      Object.entries(result.servers[server]?.failures ?? {}).map(
        ([problem, count]) => `FAILED: ${name}, ${server}: ${count} × ${problem}`,
      ),
    );
  });
}

function verdictCells({ aim, isMet }: Verdict): string[] {
  return [aim, isMet ? "met" : "NOT MET"];
}

function spread({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
}

function kilobytes(bytes: number): string {
  return (bytes / 1_024).toFixed(1);
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}
