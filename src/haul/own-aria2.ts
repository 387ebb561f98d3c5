import { type ChildProcess, spawn } from "node:child_process";
import { chmod } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import type { ClientTarget } from "../adapters/adapter.js";
import { createBackoff } from "../lib/backoff.js";
import { type Clock, repeat, sleep } from "../lib/clock.js";
import { makeDirectory } from "../lib/directory.js";
import type { Log } from "../lib/log.js";
import { readOrCreatePrivateFile, writePrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret } from "../lib/random.js";
import { readOrCreateKey } from "./api-key.js";
import { aria2Config } from "./aria2-config.js";
import { StartError } from "./start-error.js";

/** In the state directory. */
export const SECRET_FILE = "aria2.secret";

const RESTART = { baseMs: 1_000, factor: 2, capMs: 30_000 };
/** A run as long as this was a good one. */
const QUIET_MS = 60_000;
/** Enough to say goodbye to its peers and write its session. */
const STOP_TIMEOUT_MS = 3_000;
const WAKE_EVERY_MS = 10;

export interface OwnAria2Options {
  readonly stateDirectory: string;
  readonly downloadDirectory: string;
  /** Environment for aria2c, PATH among it; left out, that of this process. */
  readonly environment: Readonly<Record<string, string | undefined>> | undefined;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
}

/** An aria2 on loopback that lives as long as Haul. */
export interface OwnAria2 {
  /** Where it is now: after a restart it may have another port. */
  readonly target: ClientTarget;
  /**
   * Ends it and starts it again with a new secret, since it takes one at its start alone.
   * What it was downloading goes on. It may need a moment until it answers.
   * @param ended called when the old one is gone: from then on the old secret is nobody's
   */
  changeSecret(ended: () => void): Promise<void>;
  /** Ends it, by force after 3 s. */
  stop(): Promise<void>;
}

/**
 * Starts an aria2 and keeps it running. Its secret is kept across restarts, so
 * that managers can go on with the one they have; its port is kept if it is free.
 * @returns undefined if there is no aria2c here that can be run.
 */
export async function startOwnAria2(options: OwnAria2Options): Promise<OwnAria2 | undefined> {
  const { stateDirectory, downloadDirectory, log, clock, random } = options;
  if (!(await isInstalled(options.environment))) return undefined;
  const stopping = new AbortController();
  let secret = await readOrCreateKey(stateDirectory, SECRET_FILE, random);
  let replacing: Promise<void> | undefined;
  const sessionFile = join(stateDirectory, "aria2.session");
  const configFile = join(stateDirectory, "aria2.conf");
  let port = 0;

  async function run(): Promise<ChildProcess> {
    port = await freePort(port);
    await makeDownloadDirectory(downloadDirectory);
    // First: aria2 writes it anew with a mode of its own, and no other would be taken for private.
    await chmod(sessionFile, 0o600).catch(() => {}); // it may not be there yet
    await readOrCreatePrivateFile(sessionFile, () => "");
    const settings = { port, secret, downloadDirectory, sessionFile, parentPid: process.pid };
    await writePrivateFile(configFile, aria2Config(settings));
    const child = spawn("aria2c", [`--conf-path=${configFile}`], {
      env: options.environment,
      stdio: "ignore",
      // A group of its own: Ctrl-C reaches it through us, after its entry said goodbye.
      detached: true,
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    return child;
  }

  let child = await run();
  const over = keepRunning().catch((error) => {
    if (!stopping.signal.aborted) throw error; // else the wait for a restart was cut short
  });

  async function keepRunning(): Promise<void> {
    let backoff = createBackoff(RESTART);
    while (!stopping.signal.aborted) {
      const startedAt = clock.now();
      const reason = await endOf(child);
      if (stopping.signal.aborted) return;
      if (replacing) {
        await replacing;
        continue;
      }
      if (clock.now() - startedAt > QUIET_MS) backoff = createBackoff(RESTART);
      const retryInMs = Math.round(backoff.delayMs(random.next()));
      backoff = backoff.next();
      log.warn({ reason, retryInMs }, "haul.aria2-ended");
      await sleep(clock, retryInMs, stopping.signal);
      await startAgain();
    }
  }

  async function startAgain(): Promise<void> {
    try {
      child = await run();
      log.info({ pid: child.pid, port }, "haul.aria2-started");
    } catch (error) {
      log.error({ error: error instanceof Error ? error.message : "" }, "haul.aria2-not-started");
    }
  }

  async function end(): Promise<void> {
    child.kill("SIGTERM");
    const insist = clock.setTimer(STOP_TIMEOUT_MS, () => child.kill("SIGKILL"));
    await endOf(child);
    insist.cancel();
    await chmod(sessionFile, 0o600).catch(() => {}); // it may be gone
  }

  async function replace(ended: () => void): Promise<void> {
    const next = randomSecret(random);
    // First: whatever ends us from here on, the next start has a secret, and registers it.
    await writePrivateFile(join(stateDirectory, SECRET_FILE), `${next}\n`);
    secret = next;
    const waking = repeat(clock, WAKE_EVERY_MS, () => wake(port));
    await end().finally(() => waking.cancel());
    ended();
    if (!stopping.signal.aborted) await startAgain();
  }

  log.info({ pid: child.pid, port, downloadDirectory }, "haul.aria2-started");
  return {
    get target(): ClientTarget {
      return { kind: "aria2", url: `http://127.0.0.1:${port}`, secret };
    },
    changeSecret(ended) {
      replacing ??= replace(ended).finally(() => {
        replacing = undefined;
      });
      return replacing;
    },
    async stop() {
      stopping.abort();
      await end();
      await over;
      await end(); // of one that was being started meanwhile
    },
  };
}

/** Whether there is an aria2c that can be run. */
async function isInstalled(env: OwnAria2Options["environment"]): Promise<boolean> {
  const child = spawn("aria2c", ["--version"], { env, stdio: "ignore" });
  return new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}

async function makeDownloadDirectory(path: string): Promise<void> {
  try {
    await makeDirectory(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(
      `cannot make the directory ${path} for downloads (${code}): give one with --download-dir that this user may write to`,
      { cause: error },
    );
  }
}

function endOf(child: ChildProcess): Promise<string> {
  const say = () =>
    child.signalCode ? `ended by ${child.signalCode}` : `ended with exit code ${child.exitCode}`;
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(say());
  return new Promise((resolve) => child.once("exit", () => resolve(say())));
}

/** One that has nothing to do looks once a second whether it was told to end, or when somebody comes. */
function wake(port: number): void {
  const socket = connect({ port, host: "127.0.0.1" }, () => socket.destroy());
  socket.on("error", () => {}); // it is gone
}

/** `preferred` if it is free on loopback, else another. */
function freePort(preferred: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error) => (preferred ? resolve(freePort(0)) : reject(error)));
    server.listen(preferred, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
