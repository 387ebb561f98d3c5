import { STORE_NAMES, type StoreLevel, type StoreName, type StoreResult } from "./results.js";
import { kilobytes, newTable, spread } from "./tables.js";
import { quantiles } from "./watch-report.js";

const TITLES: Readonly<Record<StoreName, string>> = {
  "Pulse on SQLite": "SQLite",
  "bare SQLite": "bare SQLite",
  "Pulse on PostgreSQL": "PostgreSQL, 1 node",
  "three Pulses on PostgreSQL": "3 nodes",
  "bare PostgreSQL": "bare PostgreSQL",
};

export function renderStore(result: StoreResult): string {
  const { services, cores, fdatasyncMedianMs, levels, growth, postgres } = result;
  const table = newTable(
    ["durable Registers", ...STORE_NAMES.map((name) => TITLES[name])],
    STORE_NAMES.length,
  );
  for (const level of levels) addRows(table, level);
  const perSecond = Math.round(1_000 / fdatasyncMedianMs).toLocaleString("en");
  const { memory, version } = postgres;
  const megabytes = (bytes: number) => (bytes / 1_024 ** 2).toFixed(1);
  const sizes = (["SQLite", "PostgreSQL"] as const).map((engine) => {
    const { bytesPer1000Services, bytesPer10000Changes } = growth[engine];
    return `${engine} ${kilobytes(bytesPer1000Services)} KB for 1,000 services, ${megabytes(bytesPer10000Changes)} MB for 10,000 changes`;
  });
  return [
    table.toString(),
    `${services.toLocaleString("en")} services that were there; programs, PostgreSQL ${version} and generator share ${cores} cores, and none but the generator is pinned; one fdatasync at a time would be ${perSecond} per s`,
    `PostgreSQL has ${megabytes(memory.bytes)} MB in ${memory.processes} processes while four Pulses use it`,
    `On the disk: ${sizes.join("; ")}`,
  ].join("\n");
}

function addRows(table: ReturnType<typeof newTable>, { callers, stores, toBare }: StoreLevel) {
  const row = (what: string, read: (name: StoreName) => string): void => {
    table.push([`${callersText(callers)}: ${what}`, ...STORE_NAMES.map(read)]);
  };
  row("per s", (name) => thousands(stores[name].registersPerSecond.median));
  row("÷ bare inserts", (name) => {
    const ratio = toBare[name];
    return ratio ? spread(ratio) : "1";
  });
  row("answered after, ms: p50 (p99)", (name) => quantiles(stores[name].answeredMs));
  row("CPU each, µs, with PostgreSQL's", (name) => {
    const { programMicros, postgresMicros } = stores[name];
    const own = programMicros.toFixed(0);
    return name.endsWith("SQLite") ? own : `${own} + ${postgresMicros.toFixed(0)}`;
  });
}

export function callersText(callers: number): string {
  return callers === 1 ? "1 caller" : `${callers} callers`;
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString("en");
}
