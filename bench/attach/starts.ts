import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "../generator/connection.js";
import { nameOf, registerRequest } from "../generator/messages.js";
import { REGISTER } from "../generator/paths.js";
import { monotonicMs } from "../monotonic.js";
import { endOf, ROOT } from "../processes.js";

const HAUL = join(ROOT, "dist", "src", "cli", "haul.js");

/** A program on its way to register. It starts where the system likes, as it would elsewhere. */
export interface Started {
  readonly pid: number;
  /** Right before it was spawned: see monotonicMs. */
  readonly spawnedAtMs: number;
  /** Of the entry that it will have. */
  readonly name: string;
  /** Rejects if it ends by itself with an error. */
  readonly failed: Promise<never>;
  /** Ends it, and resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Haul as it was built, with no identity and no state yet. There is no aria2c to be
 * found, so that it registers itself unless a download client is given: what a client
 * takes to answer is not Haul's.
 * @param options of `haul run`
 */
export function startHaul(
  { port, token }: Target,
  name: string,
  parent: string,
  options: readonly string[] = [],
): Started {
  const directory = join(parent, name);
  mkdirSync(directory);
  const environment = {
    PATH: directory,
    HAUL_NAME: name,
    HAUL_DATA: join(directory, "state"),
    HAUL_LISTEN: "127.0.0.1:0",
    PULSE_URL: `http://127.0.0.1:${port}`,
    PULSE_TOKEN: token,
  };
  return start(name, [HAUL, "run", ...options], environment, () =>
    rmSync(directory, { recursive: true, force: true }),
  );
}

/** Service number `index` of a fleet registers, by the least program that can. */
export function startBareRegistrant({ port, token }: Target, index: number): Started {
  const environment = {
    BENCH_PULSE: `127.0.0.1:${port}`,
    BENCH_TOKEN: token,
    BENCH_PATH: REGISTER,
    BENCH_REQUEST: Buffer.from(registerRequest(index)).toString("base64"),
  };
  const script = join(import.meta.dirname, "bare-registrant.mjs");
  return start(nameOf(index), [script], environment, () => {});
}

/** From a process being spawned until Node runs its first line. */
export async function measureNode(): Promise<number> {
  const spawnedAtMs = monotonicMs();
  const child = spawn(process.execPath, ["-e", "console.log(process.hrtime.bigint())"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  await endOf(child);
  return Number.parseInt(output, 10) / 1e6 - spawnedAtMs;
}

function start(
  name: string,
  script: readonly string[],
  environment: NodeJS.ProcessEnv,
  onStopped: () => void,
): Started {
  const spawnedAtMs = monotonicMs();
  const child = spawn(process.execPath, script, {
    cwd: ROOT,
    env: environment,
    stdio: ["ignore", "ignore", "inherit", "ipc"], // so that it ends with the benchmark
  });
  const failed = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code) reject(new Error(`${name} ended with exit code ${code}`));
    });
  });
  failed.catch(() => {}); // whoever waits for it hears of it
  return {
    pid: child.pid ?? 0,
    spawnedAtMs,
    name,
    failed,
    async stop() {
      child.kill("SIGTERM");
      await endOf(child);
      onStopped();
    },
  };
}
