import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, statfsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { eventually } from "./eventually.js";
import { freePort } from "./free-port.js";
import {
  installedBinaries,
  type PostgresBinaries,
  RUN_AS,
  runnableBinaries,
} from "./postgres-binaries.js";
import { childrenOf, haltProcesses, isAlive, signal } from "./process-family.js";

const PATIENCE_MS = 15_000;

export interface PostgresServerOptions {
  /** Whether a commit waits for the disk; false by default: tests survive no power cut anyway. */
  readonly fsync?: boolean;
  /** Of 127.0.0.1; a free one by default. */
  readonly port?: number;
  /** Where the binaries are; those that npm installed by default. */
  readonly native?: string;
}

/** Directories of one server. */
interface Place {
  readonly data: string;
  /** The log, and the binaries if they had to be copied. */
  readonly directory: string;
}

type State =
  | { readonly is: "stopped" | "crashed" }
  | { readonly is: "running"; readonly postmaster: Postmaster }
  | { readonly is: "paused"; readonly postmaster: Postmaster; readonly family: readonly number[] };

interface Postmaster {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
}

/**
 * A real PostgreSQL on 127.0.0.1 with a data directory of its own, that can be
 * stopped, crashed, paused and started again. It ends with this process, however
 * that ends; a test calls `dispose` when it is done.
 */
export class PostgresServer {
  #state: State = { is: "stopped" };

  private constructor(
    readonly port: number,
    private readonly fsync: boolean,
    private readonly place: Place,
    private readonly binaries: PostgresBinaries,
    private readonly legacy: Legacy,
  ) {}

  /** Makes the data directory and starts; about half a second. */
  static async start(options: PostgresServerOptions = {}): Promise<PostgresServer> {
    const { native = installedBinaries(), fsync = false } = options;
    const place = makePlace(fsync);
    const legacy = leaveLegacy([place.directory, place.data]);
    try {
      const binaries = runnableBinaries(native, place.directory);
      await createCluster(binaries, place.data);
      const port = options.port ?? (await freePort());
      const server = new PostgresServer(port, fsync, place, binaries, legacy);
      await server.start();
      return server;
    } catch (error) {
      await removePlace(place);
      legacy.settle();
      throw error;
    }
  }

  /** Where clients connect. There is one database at first, `postgres`. */
  url(database = "postgres"): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** The process that has the connections' processes as children; undefined while stopped. */
  get pid(): number | undefined {
    return "postmaster" in this.#state ? this.#state.postmaster.pid : undefined;
  }

  /** Starts again after `stop` or `kill`, on the same data and port; resolves when it accepts. */
  async start(): Promise<void> {
    if (this.#state.is === "running" || this.#state.is === "paused")
      throw new Error(`PostgreSQL is ${this.#state.is} already`);
    const postmaster = this.#spawn();
    this.#state = { is: "running", postmaster };
    this.legacy.write(postmaster.pid);
    const end = performance.now() + PATIENCE_MS;
    while (!(await this.#isReady(postmaster.pid))) {
      if (!isAlive(postmaster.pid) || performance.now() > end) {
        const log = await this.log();
        await this.kill();
        throw new Error(`PostgreSQL does not start on port ${this.port}:\n${log}`);
      }
      await setTimeout(10);
    }
  }

  /** Fast shutdown: connections are cut, all that is committed is in the data files. */
  async stop(): Promise<void> {
    await this.#end("SIGINT");
  }

  /** Crash: every process is killed at once, and the next start recovers. */
  async kill(): Promise<void> {
    if (this.#state.is === "running" && isAlive(this.#state.postmaster.pid)) await this.pause();
    if (!("postmaster" in this.#state)) return;
    const { postmaster } = this.#state;
    const family = this.#state.is === "paused" ? this.#state.family : [];
    signal(family, "SIGKILL");
    await this.#gone(postmaster, family, "crashed");
  }

  /** Stops every process where it stands: connections stay open and nothing answers. */
  async pause(): Promise<void> {
    if (this.#state.is !== "running") throw new Error(`PostgreSQL is ${this.#state.is}`);
    const { postmaster } = this.#state;
    await haltProcesses([postmaster.pid]); // first, so that no child joins after the count
    const children = childrenOf(postmaster.pid);
    await haltProcesses(children);
    this.#state = { is: "paused", postmaster, family: [postmaster.pid, ...children] };
    this.legacy.write(postmaster.pid, children);
  }

  /** Lets all of them go on. */
  resume(): void {
    if (this.#state.is !== "paused") throw new Error(`PostgreSQL is ${this.#state.is}, not paused`);
    const { postmaster, family } = this.#state;
    signal(family, "SIGCONT");
    this.#state = { is: "running", postmaster };
    this.legacy.write(postmaster.pid);
  }

  /** What it wrote to its log since it was made. */
  log(): Promise<string> {
    return readFile(this.#log, "utf8");
  }

  /** Ends it and removes its data. */
  async dispose(): Promise<void> {
    // What a crash has left of shared memory goes when the next start finds it.
    if (this.#state.is === "crashed") await this.start().catch(() => {});
    await this.#end("SIGQUIT");
    await removePlace(this.place);
    this.legacy.settle();
  }

  #spawn(): Postmaster {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: this.port,
      unix_socket_directories: "",
      max_connections: 300,
      fsync: this.fsync ? "on" : "off",
      max_wal_size: this.fsync ? "1GB" : "256MB", // may be memory
      dynamic_shared_memory_type: "mmap", // in the data directory: a crash leaves nothing outside it
    };
    const log = openSync(this.#log, "a");
    const child = spawn(
      this.binaries.postgres,
      [
        "-D",
        this.place.data,
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      // Detached: a Ctrl-C in the terminal is for the tests, which then end this.
      { ...RUN_AS, env: this.binaries.env, stdio: ["ignore", "ignore", log], detached: true },
    );
    closeSync(log);
    child.unref();
    if (child.pid === undefined) throw new Error(`${this.binaries.postgres} does not start`);
    return { pid: child.pid, child, exited: ended(child) };
  }

  /** As pg_ctl finds it out. The file that a crash has left names another process. */
  async #isReady(pid: number): Promise<boolean> {
    const status = await readFile(join(this.place.data, "postmaster.pid"), "utf8").catch(() => "");
    const lines = status.split("\n");
    return lines[0] === `${pid}` && lines[7]?.trim() === "ready";
  }

  /** Not by SIGKILL: after that it cannot give back its shared memory. */
  async #end(name: "SIGINT" | "SIGQUIT"): Promise<void> {
    if (this.#state.is === "paused") this.resume();
    if (this.#state.is !== "running") return;
    const { postmaster } = this.#state;
    signal([postmaster.pid], name);
    await this.#gone(postmaster, [], "stopped");
  }

  async #gone(
    postmaster: Postmaster,
    family: readonly number[],
    is: "stopped" | "crashed",
  ): Promise<void> {
    postmaster.child.ref(); // who waits for its end must live to see it
    await postmaster.exited;
    await eventually(() => {
      if (family.some(isAlive)) throw new Error("processes of PostgreSQL survive a SIGKILL");
    });
    this.#state = { is };
    this.legacy.write();
  }

  get #log(): string {
    return join(this.place.directory, "log");
  }
}

function makePlace(fsync: boolean): Place {
  const directory = mkdtempSync(join(tmpdir(), "pulse-postgres-"));
  chmodSync(directory, 0o755); // nobody may have to run the binaries in it
  const data = mkdtempSync(join(placeOfData(fsync), "pulse-postgres-"));
  if (RUN_AS.uid !== undefined) chownSync(data, RUN_AS.uid, RUN_AS.gid);
  return { directory, data };
}

async function removePlace({ directory, data }: Place): Promise<void> {
  for (const each of [data, directory])
    await rm(each, { recursive: true, force: true, maxRetries: 5 });
}

async function createCluster(binaries: PostgresBinaries, data: string): Promise<void> {
  const options = "--username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync";
  const child = spawn(binaries.initdb, ["-D", data, ...options.split(" "), "--no-instructions"], {
    ...RUN_AS,
    env: binaries.env,
    cwd: data,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  await ended(child);
  if (child.exitCode !== 0) throw new Error(`initdb failed:\n${stderr}`);
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => resolve());
  });
}

/**
 * Memory, where there is enough of it and no fsync is wanted: an empty database is
 * 300 files, which takes 13 ms there and 100 to 300 ms on a busy disk.
 */
function placeOfData(fsync: boolean): string {
  if (fsync || process.platform !== "linux") return tmpdir();
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize > 2 ** 31 ? "/dev/shm" : tmpdir();
  } catch {
    return tmpdir();
  }
}

interface Legacy {
  /** The processes that are to be ended: the postmaster, then those that stand still. */
  write(postmaster?: number, paused?: readonly number[]): void;
  /** Nothing is left to do. */
  settle(): void;
}

/**
 * What is done if this process dies before it has tidied up, even by SIGKILL: a
 * shell waits for the end of its input, then ends whom the last line names.
 */
function leaveLegacy(directories: readonly string[]): Legacy {
  const script = `
    while read -r line; do pids=$line; done
    for pid in $pids; do kill -CONT "$pid"; done
    kill -QUIT \${pids%% *}
    for try in 1 2 3 4 5; do rm -rf "$@" && break; sleep 1; done`;
  const shell = spawn("sh", ["-c", script, "pulse-postgres-legacy", ...directories], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.on("error", () => {}); // no shell, or someone killed it: nobody inherits
  shell.unref();
  shell.stdin.on("error", () => {});
  (shell.stdin as unknown as { unref(): void }).unref();
  return {
    write: (...pids) => void shell.stdin.write(`${pids.flat().join(" ")}\n`),
    settle: () => void shell.stdin.end("\n"),
  };
}
