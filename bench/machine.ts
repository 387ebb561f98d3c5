import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join } from "node:path";

/** What of the machine bears on the figures. */
export interface Machine {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  /** The load when the run began: other work on the machine makes the figures worse. */
  readonly loadAverage: number;
  /** Cores the processes are pinned to, or why they are not. */
  readonly pinning: { readonly server: number; readonly generator: number } | string;
  readonly dataDirectory: string;
  readonly filesystem: string;
  /** One small write and fdatasync there: what a durable commit waits for, at least. */
  readonly fdatasyncMedianMs: number;
  readonly maxOpenFiles: number | "unlimited";
}

export function describeMachine(dataDirectory: string): Machine {
  return {
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    loadAverage: loadavg()[0] ?? Number.NaN,
    pinning: choosePinning(),
    dataDirectory,
    filesystem: filesystemOf(dataDirectory),
    fdatasyncMedianMs: measureFdatasync(dataDirectory),
    maxOpenFiles: maxOpenFiles(),
  };
}

/** The command that starts `command` on that core. */
export function pinned(core: number | undefined, command: readonly string[]): readonly string[] {
  return core === undefined ? command : ["taskset", "--cpu-list", String(core), ...command];
}

const TICK_MS = 10;
const IDLE_FIELDS: readonly number[] = [3, 4]; // idle and iowait

/** How long that core has been busy, or all of them together, for whomever; NaN where there is no /proc/stat. */
export function busyMsOf(core: number | "all"): number {
  try {
    const lines = readFileSync("/proc/stat", "utf8").split("\n");
    const name = core === "all" ? "cpu" : `cpu${core}`;
    const line = lines.find((candidate) => candidate.startsWith(`${name} `)) ?? "";
    const ticks = line.split(/ +/).slice(1, 9).map(Number); // guests are counted as users already
    return ticks
      .filter((_, field) => !IDLE_FIELDS.includes(field))
      .reduce((sum, value) => sum + value * TICK_MS, 0);
  } catch {
    return Number.NaN;
  }
}

function choosePinning(): Machine["pinning"] {
  const { stdout, error } = spawnSync("taskset", ["--cpu-list", "--pid", String(process.pid)], {
    encoding: "utf8",
  });
  if (error) return "not pinned: there is no taskset here";
  const cores = readCoreList(stdout.slice(stdout.lastIndexOf(":") + 1).trim());
  const server = cores[0];
  const generator = cores.at(-1);
  if (server === undefined || generator === undefined || server === generator)
    return "not pinned: there is only one core, and server and generator share it";
  return { server, generator };
}

/** Reads `0-3,8`. */
function readCoreList(text: string): number[] {
  return text.split(",").flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

const FILESYSTEMS: Readonly<Record<number, string>> = {
  61267: "ext4",
  16914836: "tmpfs, which is memory: nothing here is durable",
  1481003842: "xfs",
  2435016766: "btrfs",
  2035054128: "overlay",
  801189825: "zfs",
};

function filesystemOf(directory: string): string {
  const { type } = statfsSync(directory);
  return FILESYSTEMS[type] ?? `type 0x${type.toString(16)}`;
}

function measureFdatasync(directory: string): number {
  const path = join(directory, "fdatasync-probe");
  const file = openSync(path, "w");
  const block = Buffer.alloc(4_096, 1);
  const tookMs = Array.from({ length: 31 }, () => {
    const startedAt = performance.now();
    writeSync(file, block);
    fdatasyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  rmSync(path);
  return tookMs.sort((a, b) => a - b)[15] ?? Number.NaN;
}

/** Node raises its own limit to the hard one when it starts, and so do its children. */
function maxOpenFiles(): number | "unlimited" {
  const text = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  return text === "unlimited" ? text : Number(text);
}
