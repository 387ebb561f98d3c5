import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { systemClock } from "../lib/clock.js";
import { CommandError } from "./failure.js";

const KILL_AFTER_MS = 10_000;

export interface ChildProgramOptions {
  /** Which of the programs beside this one. */
  readonly program: "pulse" | "haul";
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** All that the program writes is added to it. */
  readonly logFile: string;
  /** The `msg` of the log line that says it is ready; the line's `url` says where. */
  readonly readyMessage: string;
}

/** One run of a program in a process of its own. */
export interface ChildProgram {
  readonly pid: number | undefined;
  /** Where it listens; rejects with the last thing that it said if it ends before. */
  readonly ready: Promise<string>;
  /** Why it ended. Never rejects. */
  readonly ended: Promise<string>;
  /** Asks it to end, insists after 10 s, and resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts a program. It is in a process group of its own, so that Ctrl-C reaches
 * it only through us and the order of ending is ours; the IPC channel tells it
 * if we are gone without a word.
 */
export function startChildProgram(options: ChildProgramOptions): ChildProgram {
  const self = fileURLToPath(import.meta.url);
  const script = join(dirname(self), options.program + extname(self));
  const child = spawn(process.execPath, [...process.execArgv, script, ...options.args], {
    env: options.env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let lastWords = "";
  onLines(child, "stderr", (line) => {
    appendFileSync(options.logFile, `${line}\n`, { mode: 0o600 });
    lastWords = line;
  });

  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(lastWords || endSentence(code, signal)));
  });
  const ready = new Promise<string>((resolve, reject) => {
    onLines(child, "stdout", (line) => {
      appendFileSync(options.logFile, `${line}\n`, { mode: 0o600 });
      const fields = parseLogLine(line);
      if (fields?.msg === options.readyMessage) resolve(String(fields.url));
    });
    ended.then((reason) => reject(new CommandError(reason)));
  });
  ready.catch(() => {}); // `ended` says it too

  return {
    pid: child.pid,
    ready,
    ended,
    async stop() {
      child.kill("SIGTERM");
      const insist = systemClock.setTimer(KILL_AFTER_MS, () => child.kill("SIGKILL"));
      await ended;
      insist.cancel();
    },
  };
}

function onLines(child: ChildProcess, from: "stdout" | "stderr", take: (line: string) => void) {
  const stream = child[from];
  if (stream) createInterface({ input: stream }).on("line", take);
}

function parseLogLine(line: string): Record<string, unknown> | undefined {
  try {
    const fields: unknown = JSON.parse(line);
    return typeof fields === "object" && fields !== null ? { ...fields } : undefined;
  } catch {
    return undefined;
  }
}

function endSentence(code: number | null, signal: NodeJS.Signals | null): string {
  return signal ? `ended by ${signal}` : `ended with exit code ${code}`;
}
