import { describe, expect, it } from "vitest";
import type { Machine } from "../../bench/machine.js";
import { renderReport } from "../../bench/report.js";
import {
  type AttachResult,
  type FanOutFigures,
  type FanOutResult,
  failuresOf,
  type HaulResult,
  type StoreFigures,
  type StoreResult,
} from "../../bench/results.js";

const MACHINE: Machine = {
  node: "v20.20.2",
  cpu: "some CPU",
  cores: 2,
  loadAverage: 0.5,
  pinning: { server: 0, generator: 1 },
  dataDirectory: "/data",
  filesystem: "ext4",
  fdatasyncMedianMs: 0.2,
  maxOpenFiles: 20_000,
};

const same = (value: number) => ({ median: value, min: value, max: value });
const figures = (lastMs: number): FanOutFigures => ({
  changes: 120,
  replyMs: { p50: lastMs + 0.02, p99: lastMs + 0.02 },
  firstMs: { p50: 2, p99: 3 },
  middleMs: { p50: 5, p99: 6 },
  lastMs: { p50: lastMs, p99: 2 * lastMs },
  lastAfterReplyMs: { p50: -0.02, p99: -0.02 },
  cpuMicrosPerDelivery: same(20),
  rounds: [20, 20],
  othersUtilisation: 0.02,
  messageBytes: 334,
  rssBytesPerWatcher: 40 * 1_024,
  failures: {},
});

const FAN_OUT: FanOutResult = {
  kind: "fan-out",
  watchers: 1_000,
  entries: 20,
  servers: { Pulse: figures(160), "bare grpc-js": figures(30), "raw echo": figures(20) },
  toBare: same(1.3),
  toRaw: same(1.6),
  timeVerdict: { aim: "≤ 150 ms", isMet: false },
  cpuVerdict: { aim: "≤ 3 × raw", isMet: true },
};

const ATTACH: AttachResult = {
  kind: "attach",
  starts: 12,
  haulMs: { median: 250, min: 240, max: 270 },
  bareMs: same(85),
  nodeMs: same(60),
  registers: 100,
  fromSentMs: { p50: 3, p99: 9 },
  fromReplyMs: { p50: -0.04, p99: 0.2 },
  startVerdict: { aim: "≤ 300 ms", isMet: true },
  callbackVerdict: { aim: "≤ 20 ms", isMet: true },
};

const HAUL: HaulResult = {
  kind: "haul",
  missing: ["Deluge"],
  starts: 10,
  nodeMs: { median: 60, min: 55, max: 70 },
  clients: [
    {
      title: "qBittorrent",
      version: "4.5.2",
      loggedInMs: { median: 420, min: 400, max: 600 },
      logInMs: same(60),
      probeCpuMs: 0.52,
      logInCpuMs: 56,
      utilisation: 0.000_158,
      idleUtilisation: 0.002,
      verdict: { aim: "< 1 %", isMet: true },
    },
  ],
  agent: {
    loggedInMs: 800,
    nodeBytes: 42 * 1_024 ** 2,
    registeredBytes: 87 * 1_024 ** 2,
    restedBytes: 95.5 * 1_024 ** 2,
    proportionalBytes: 34 * 1_024 ** 2,
    restMs: 60_000,
    utilisation: 0.006_2,
    clientsUtilisation: 0.004,
    verdict: { aim: "≤ 90 MB", isMet: false },
  },
};

const stored = (perSecond: number): StoreFigures => ({
  registersPerSecond: same(perSecond),
  windows: [perSecond, perSecond],
  answeredMs: { p50: 8, p99: 20 },
  programMicros: 250,
  postgresMicros: 150,
  generatorUtilisation: 0.3,
  othersUtilisation: 0.02,
  failures: {},
});
const STORE_LEVEL: StoreResult["levels"][number] = {
  callers: 32,
  stores: {
    "Pulse on SQLite": stored(3_000),
    "bare SQLite": stored(1_500),
    "Pulse on PostgreSQL": stored(1_800),
    "three Pulses on PostgreSQL": stored(900),
    "bare PostgreSQL": stored(1_200),
  },
  toBare: {
    "Pulse on SQLite": same(2),
    "Pulse on PostgreSQL": same(1.5),
    "three Pulses on PostgreSQL": { median: 0.75, min: 0.7, max: 0.8 },
  },
};
const STORE: StoreResult = {
  kind: "store",
  services: 1_000,
  cores: 2,
  fdatasyncMedianMs: 0.2,
  levels: [STORE_LEVEL],
  growth: {
    SQLite: { bytesPer1000Services: 900 * 1_024, bytesPer10000Changes: 1.5 * 1_024 ** 2 },
    PostgreSQL: { bytesPer1000Services: 1_200 * 1_024, bytesPer10000Changes: 15 * 1_024 ** 2 },
  },
  postgres: { version: "18.4", memory: { bytes: 90 * 1_024 ** 2, processes: 25 } },
};

/** The line of the report that has these words, its cells parted by one space. */
function line(report: string, words: string): string {
  const found = report.split("\n").find((candidate) => candidate.includes(words)) ?? "";
  return found.replaceAll(/[\s│]+/g, " ").trim();
}

describe("the report", () => {
  const report = renderReport(MACHINE, [FAN_OUT, ATTACH]);

  it("puts Pulse, the references, the aim and the verdict side by side", () => {
    expect(line(report, "until the last has it")).toBe(
      "until the last has it 160.0 (320.0) 30.0 (60.0) 20.0 (40.0) ≤ 150 ms NOT MET",
    );
    expect(line(report, "CPU per delivery, µs")).toContain("≤ 3 × raw met");
    expect(line(report, "Haul's process")).toContain("250 240–270 ≤ 300 ms met");
  });

  it("puts each store beside bare inserts, and says who shares the cores", () => {
    const stores = renderReport(MACHINE, [STORE]);
    expect(line(stores, "32 callers: per s")).toBe("32 callers: per s 3,000 1,500 1,800 900 1,200");
    expect(line(stores, "÷ bare inserts")).toBe(
      "32 callers: ÷ bare inserts 2.00 (2.00–2.00) 1 1.50 (1.50–1.50) 0.75 (0.70–0.80) 1",
    );
    expect(line(stores, "CPU each")).toContain("250 250 250 + 150 250 + 150 250 + 150");
    expect(stores).toContain("PostgreSQL 18.4 and generator share 2 cores");
    expect(stores).toContain("one fdatasync at a time would be 5,000 per s");
    expect(stores).toContain("PostgreSQL 1200.0 KB for 1,000 services, 15.0 MB for 10,000 changes");
  });

  it("shows how soon a manager is in with Haul, what that costs, and which clients are missing", () => {
    const hauls = renderReport(MACHINE, [HAUL]);
    expect(line(hauls, "qBittorrent 4.5.2")).toBe("qBittorrent 4.5.2 420 400–600 60 60–60");
    expect(line(hauls, "< 1 %")).toBe("qBittorrent 4.5.2 0.5 56.0 0.02 % < 1 % met 0.20 %");
    expect(line(hauls, "RSS at that moment")).toBe("RSS at that moment, MB 87.0");
    expect(line(hauls, "RSS after 60 s")).toBe("RSS after 60 s, MB 95.5 ≤ 90 MB NOT MET");
    expect(line(hauls, "of Node itself")).toBe("(RSS of Node itself, MB) 42.0");
    expect(line(hauls, "CPU meanwhile")).toBe("CPU meanwhile, % of a core 0.62");
    expect(hauls).toContain("first line after 60 (55–70) ms");
    expect(hauls).toContain("NOT MEASURED: haul: Deluge: not installed");
    expect(renderReport(MACHINE, [{ ...HAUL, missing: [] }])).not.toContain("NOT MEASURED");
    expect(failuresOf(HAUL)).toEqual([]);
  });

  it("shows a time that rounds to nothing as 0.0", () => {
    expect(line(report, "the answer to a Register")).toBe(
      "from the answer to a Register 0.0 p99 0.2",
    );
  });

  it("says who failed, in what, and how often", () => {
    const failures = { "a watch ended: GOAWAY 0": 3 };
    const servers = { ...FAN_OUT.servers, Pulse: { ...figures(20), failures } };
    const failed: FanOutResult = { ...FAN_OUT, servers };
    expect(renderReport(MACHINE, [failed])).toContain(
      "FAILED: fan-out to 1000, Pulse: 3 × a watch ended: GOAWAY 0",
    );
    expect(failuresOf(failed)).toEqual([["Pulse", failures]]);
    expect(failuresOf(FAN_OUT)).toEqual([]);
    const withFailures = { ...stored(900), failures };
    const stores = { ...STORE_LEVEL.stores, "three Pulses on PostgreSQL": withFailures };
    expect(renderReport(MACHINE, [{ ...STORE, levels: [{ ...STORE_LEVEL, stores }] }])).toContain(
      "FAILED: store, three Pulses on PostgreSQL: 3 × a watch ended: GOAWAY 0",
    );
  });

  it("doubts figures that were taken beside others", () => {
    const servers = { ...FAN_OUT.servers, Pulse: { ...figures(20), othersUtilisation: 0.3 } };
    expect(renderReport(MACHINE, [{ ...FAN_OUT, servers }])).toContain(
      "WARNING: fan-out to 1000, Pulse: others used 30 % of the server's core",
    );
    const starts: AttachResult = { ...ATTACH, nodeMs: { median: 90, min: 50, max: 270 } };
    expect(renderReport(MACHINE, [starts])).toContain("Node itself took 50 to 270 ms to start");
    const hauls: HaulResult = { ...HAUL, nodeMs: starts.nodeMs };
    expect(renderReport(MACHINE, [hauls])).toContain("haul: Node itself took 50 to 270 ms");
    expect(report).not.toContain("WARNING");
    const stores = { ...STORE_LEVEL.stores, "bare PostgreSQL": stored(0) };
    expect(renderReport(MACHINE, [{ ...STORE, levels: [{ ...STORE_LEVEL, stores }] }])).toContain(
      "WARNING: store, bare PostgreSQL, 32 callers: a window passed without an answer",
    );
    const busy = { ...stores, "bare SQLite": { ...stored(900), othersUtilisation: 0.5 } };
    expect(
      renderReport(MACHINE, [{ ...STORE, levels: [{ ...STORE_LEVEL, stores: busy }] }]),
    ).toContain("WARNING: store, bare SQLite, 32 callers: others used 50 % of all cores");
    expect(renderReport(MACHINE, [STORE])).not.toContain("WARNING");
  });
});
