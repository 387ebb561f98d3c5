import { SERVER_NAMES, type ServerName } from "./processes.js";
import {
  type AttachResult,
  type CpuResult,
  type HaulResult,
  type Result,
  STORE_NAMES,
  type StoreName,
  type StoreResult,
} from "./results.js";
import { callersText } from "./store-report.js";
import { percent } from "./tables.js";
import { TITLES } from "./watch-report.js";

/** Parts of the cores that others may use, and of an answer's size, before it is said. */
const MAX_OTHERS = 0.1;
const MAX_SIZE_DIFFERENCE = 0.1;
/** Part of its core that a generator may use before it is what limits the rate. */
const MAX_GENERATOR = 0.95;
/** Between the slowest and the fastest start of Node. */
const MAX_START_RATIO = 2;

/** What casts doubt on the figures of a result, in a sentence each. */
export function doubtsOf(result: Result): string[] {
  switch (result.kind) {
    case "cpu":
      return SERVER_NAMES.flatMap((server) => doubtsOfCpu(result, server));
    case "fan-out":
      return SERVER_NAMES.flatMap((server) =>
        doubtsOfOthers(whereOf(result, server), result.servers[server].othersUtilisation),
      );
    case "attach":
    case "haul":
      return doubtsOfStarts(result);
    case "store":
      return doubtsOfStores(result);
    default:
      return [];
  }
}

function doubtsOfCpu(result: CpuResult, server: ServerName): string[] {
  const { generatorUtilisation, serverUtilisation, othersUtilisation, answerBytes } =
    result.servers[server];
  const where = whereOf(result, server);
  const bareBytes = result.servers["bare grpc-js"].answerBytes;
  const isOtherSize =
    server === "Pulse" && Math.abs(answerBytes / bareBytes - 1) > MAX_SIZE_DIFFERENCE;
  return [
    ...(generatorUtilisation > MAX_GENERATOR
      ? [
          `WARNING: ${where}: the generator was at its limit (${percent(generatorUtilisation)} of its core, the server ${percent(serverUtilisation)}): what the server could do is more than this rate`,
        ]
      : []),
    ...doubtsOfOthers(where, othersUtilisation),
    ...(isOtherSize
      ? [
          `WARNING: ${where}: an answer is ${answerBytes.toFixed(0)} bytes, of the bare server ${bareBytes.toFixed(0)}: the comparison is not fair`,
        ]
      : []),
  ];
}

function doubtsOfOthers(where: string, utilisation: number): string[] {
  if (!(utilisation > MAX_OTHERS)) return [];
  return [`WARNING: ${where}: others used ${percent(utilisation)} of the server's core`];
}

/** A program may start on any core, so it is a start that tells whether others use them. */
function doubtsOfStarts({ kind, nodeMs }: AttachResult | HaulResult): string[] {
  if (nodeMs.max <= MAX_START_RATIO * nodeMs.min) return [];
  return [
    `WARNING: ${kind}: Node itself took ${nodeMs.min.toFixed(0)} to ${nodeMs.max.toFixed(0)} ms to start: others use the cores`,
  ];
}

function doubtsOfStores({ levels }: StoreResult): string[] {
  return levels.flatMap(({ callers, stores }) =>
    STORE_NAMES.flatMap((name) => {
      const { generatorUtilisation, othersUtilisation, registersPerSecond } = stores[name];
      const where = `WARNING: store, ${name}, ${callersText(callers)}:`;
      const others = percent(othersUtilisation);
      return [
        ...(generatorUtilisation > MAX_GENERATOR
          ? [`${where} the generator was at its limit`]
          : []),
        ...(othersUtilisation > MAX_OTHERS ? [`${where} others used ${others} of all cores`] : []),
        ...(registersPerSecond.min > 0 ? [] : [`${where} a window passed without an answer`]),
      ];
    }),
  );
}

/** What was measured, and of which server. */
export function whereOf(result: Result, server: ServerName | StoreName): string {
  const name = result.kind === "fan-out" ? TITLES[server as ServerName] : server;
  return `${titleOf(result)}, ${name}`;
}

function titleOf(result: Result): string {
  switch (result.kind) {
    case "cpu":
      return `${result.name} (${result.shape})`;
    case "fleet":
      return `fleet of ${result.services}`;
    case "fan-out":
      return `fan-out to ${result.watchers}`;
    case "attach":
    case "haul":
    case "store":
      return result.kind;
    case "skipped":
      return result.name;
  }
}
