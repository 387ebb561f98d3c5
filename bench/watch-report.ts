import { SERVER_NAMES, type ServerName } from "./processes.js";
import type { AttachResult, FanOutFigures, FanOutResult, Verdict } from "./results.js";
import type { Quantiles, Spread } from "./statistics.js";
import { kilobytes, newTable, spread, verdictCells } from "./tables.js";

/** Here nothing is echoed: what was received once is written to all. */
export const TITLES: Readonly<Record<ServerName, string>> = {
  Pulse: "Pulse",
  "bare grpc-js": "bare grpc-js",
  "raw echo": "raw HTTP/2",
};

export function renderFanOut(result: FanOutResult): string {
  const { watchers, entries, servers, toBare, toRaw, timeVerdict, cpuVerdict } = result;
  const table = newTable([
    `one change to ${watchers.toLocaleString("en")} watchers, ms: p50 (p99)`,
    ...SERVER_NAMES.map((name) => TITLES[name]),
    "aim",
    "",
  ]);
  const row = (what: string, read: (figures: FanOutFigures) => string, verdict?: Verdict): void => {
    const cells = SERVER_NAMES.map((name) => read(servers[name]));
    table.push([what, ...cells, ...(verdict ? verdictCells(verdict) : ["", ""])]);
  };
  row("until the call is answered", ({ replyMs }) => quantiles(replyMs));
  row("until the first has it", ({ firstMs }) => quantiles(firstMs));
  row("until half of them have it", ({ middleMs }) => quantiles(middleMs));
  row("until the last has it", ({ lastMs }) => quantiles(lastMs), timeVerdict);
  row("the same from the answer", ({ lastAfterReplyMs }) => quantiles(lastAfterReplyMs));
  row(
    "server CPU per delivery, µs",
    (figures) => figures.cpuMicrosPerDelivery.median.toFixed(1),
    cpuVerdict,
  );
  row("RSS growth per idle watcher, KB", (figures) => kilobytes(figures.rssBytesPerWatcher));
  const { changes, messageBytes } = servers.Pulse;
  return [
    table.toString(),
    `CPU per delivery: Pulse / raw ${spread(toRaw)}, Pulse / bare ${spread(toBare)}; ${changes} changes, one of ${entries} entries, ${messageBytes.toFixed(0)} bytes`,
  ].join("\n");
}

export function renderAttach(result: AttachResult): string {
  const table = newTable(["until a manager that watches is called, ms", "p50", "", "aim", ""]);
  const { starts, registers, haulMs, bareMs, nodeMs, fromSentMs, fromReplyMs } = result;
  const start = (what: string, { median, min, max }: Spread, verdict?: Verdict): void => {
    const others = `${min.toFixed(0)}–${max.toFixed(0)}`;
    table.push([what, median.toFixed(0), others, ...(verdict ? verdictCells(verdict) : ["", ""])]);
  };
  const callback = (what: string, { p50, p99 }: Quantiles, verdict?: Verdict): void => {
    const others = `p99 ${tenths(p99)}`;
    table.push([what, tenths(p50), others, ...(verdict ? verdictCells(verdict) : ["", ""])]);
  };
  start("from the start of Haul's process", haulMs, result.startVerdict);
  start("from the start of the least program on grpc-js", bareMs);
  start("(until Node runs the first line of a program)", nodeMs);
  callback("from a Register being sent, its commit included", fromSentMs, result.callbackVerdict);
  callback("from the answer to a Register", fromReplyMs);
  return [table.toString(), `${starts} starts, ${registers} Registers`].join("\n");
}

export function quantiles({ p50, p99 }: Quantiles): string {
  return `${tenths(p50)} (${tenths(p99)})`;
}

/** Never "-0.0", which one would look at twice. */
function tenths(ms: number): string {
  return (Math.round(ms * 10) / 10 || 0).toFixed(1);
}
