import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ManagerApi } from "./attach/manager.js";
import type { Target } from "./generator/connection.js";
import type { GeneratorApi } from "./generator/main.js";
import { pinned } from "./machine.js";
import { type Methods, type Remote, remoteOf } from "./remote.js";
import type { BareInsertsApi } from "./store/bare-inserts.js";
import type { PostgresApi } from "./store/postgres.js";

export const ROOT = join(import.meta.dirname, "..");
const PROBE = join(import.meta.dirname, "servers", "probe.mjs");
const START_TIMEOUT_MS = 15_000;

export const SERVER_NAMES = ["Pulse", "bare grpc-js", "raw echo"] as const;
export type ServerName = (typeof SERVER_NAMES)[number];

export interface Usage {
  /** Monotonic ms; one clock for all processes of this machine. */
  readonly atMs: number;
  /** CPU time of all its threads so far. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

export interface BenchServer {
  readonly name: ServerName;
  /** Its data, in a directory of its own. */
  readonly data: string;
  readonly target: Target;
  usage(): Promise<Usage>;
  startProfile(): Promise<void>;
  stopProfile(path: string): Promise<void>;
  stop(): Promise<void>;
}

/** What `servers/probe.mjs` adds to a server. */
type Probe = {
  usage: () => Usage;
  startProfile: () => void;
  stopProfile: (path: string) => void;
};

export interface StartOptions {
  readonly core: number | undefined;
  /** Where Pulse's data goes, in a directory of its own. */
  readonly dataDirectory: string;
  /** Variables of its environment, besides those of this process. */
  readonly env?: NodeJS.ProcessEnv;
}

export async function startServer(name: ServerName, options: StartOptions): Promise<BenchServer> {
  const data = mkdtempSync(join(options.dataDirectory, "data-"));
  const node = [process.execPath, "--import", PROBE];
  const child = startChild(pinned(options.core, [...node, ...scriptOf(name, data)]), options.env);
  const stop = async (): Promise<void> => {
    await kill(child);
    rmSync(data, { recursive: true, force: true }); // at once, since it weighs on the page cache
  };
  try {
    const port = await portOf(child, name);
    const token = name === "Pulse" ? readToken(data) : "x".repeat(66); // as long as Pulse's
    const target: Target = { port, token, isEcho: name === "raw echo" };
    const probe = remoteOf<Probe>(child, name);
    return {
      name,
      data,
      target,
      usage: () => probe.usage(),
      startProfile: () => probe.startProfile(),
      stopProfile: (path) => probe.stopProfile(path),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export function startGenerator(core: number | undefined): Program<GeneratorApi> {
  return startProgram("generator", join("generator", "main.ts"), core);
}

/** A media manager; see ManagerApi. The system may run it where it likes. */
export function startManager(): Program<ManagerApi> {
  return startProgram("manager", join("attach", "manager.ts"), undefined);
}

/** Loops of bare inserts; see BareInsertsApi. */
export function startBareInserts(): Program<BareInsertsApi> {
  return startProgram("bare inserts", join("store", "bare-inserts.ts"), undefined);
}

/** A PostgreSQL with its data in this directory; see PostgresApi. */
export function startPostgres(directory: string): Program<PostgresApi> {
  const env = { TMPDIR: directory };
  return startProgram("PostgreSQL", join("store", "postgres.ts"), undefined, env);
}

export interface Program<Api extends Methods<Api>> {
  readonly api: Remote<Api>;
  readonly stop: () => Promise<void>;
}

function startProgram<Api extends Methods<Api>>(
  name: string,
  script: string,
  core: number | undefined,
  env?: NodeJS.ProcessEnv,
): Program<Api> {
  const path = join(import.meta.dirname, script);
  const child = startChild(pinned(core, [process.execPath, "--import", "tsx", path]), env);
  return { api: remoteOf(child, name), stop: () => kill(child) };
}

/** Pulse as it was built and as its users run it; the references from source. */
function scriptOf(name: ServerName, data: string): readonly string[] {
  if (name === "Pulse") {
    const pulse = join(ROOT, "dist", "src", "cli", "pulse.js");
    return [pulse, "serve", "--listen", "127.0.0.1:0", "--data", data];
  }
  const script = name === "raw echo" ? "raw-echo.ts" : "bare-grpc.ts";
  return ["--import", "tsx", join(import.meta.dirname, "servers", script)];
}

function startChild(command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const [program = "", ...args] = command;
  return spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
}

/** There is nothing to lose: nobody reads the data again. */
function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  return endOf(child);
}

/** Resolves when the process has ended. */
export function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}

/** Each server says on stdout, in a line of JSON, where it listens; Pulse by its `url`. */
function portOf(child: ChildProcess, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = "";
    const fail = (problem: string) => reject(new Error(`${name} ${problem}\n${output}`));
    const timer = setTimeout(() => fail("does not say where it listens"), START_TIMEOUT_MS);
    child.once("exit", (code, signal) => fail(`ended at once (${signal ?? code})`));
    child.once("error", reject);
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-10_000); // read to the end, or a full pipe would stop it
      const port = /"port":(\d+)/.exec(output) ?? /"url":"http:\/\/[^"]*:(\d+)"/.exec(output);
      if (!port) return;
      clearTimeout(timer);
      resolve(Number(port[1]));
    });
  });
}

function readToken(data: string): string {
  return readFileSync(join(data, "tokens", "service.token"), "utf8").trim();
}
