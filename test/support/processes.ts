import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");
const PATIENCE_MS = 15_000;

export type ProgramName = "pulse" | "haul" | "start";
export type LogLine = Readonly<Record<string, unknown>>;

export interface Exit {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program of this project in a process of its own. */
export interface RunningProgram {
  readonly pid: number;
  /** What it wrote so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Its log lines so far. */
  readonly lines: readonly LogLine[];
  /**
   * The first log line with this `msg` from index `from` on, now or later.
   * Rejects if the program ends first, or after 15 s, with all that it wrote.
   */
  line(msg: string, from?: number): Promise<LogLine>;
  /** Resolves when what stdout holds from index `from` on matches; rejects as `line` does. */
  output(pattern: RegExp, from?: number): Promise<void>;
  readonly exit: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it is gone after a SIGTERM, or a SIGKILL 15 s later. */
  stop(): Promise<Exit>;
}

/** Programs and a directory that live and end together. */
export interface ProgramGroup {
  /** A directory of its own. It is HOME for the programs, so that no test touches a real one. */
  readonly directory: string;
  /** Starts the built program of that name with these arguments, and of this process's environment only PATH. */
  start(
    name: ProgramName,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): RunningProgram;
  /** Starts it and waits for its end, at most 15 s. */
  run(
    name: ProgramName,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<Exit & { readonly stdout: string; readonly stderr: string }>;
  /** Kills what still runs and removes the directory. */
  stop(): Promise<void>;
}

/** Begin with this in `beforeAll` or a test, and call `stop` in `afterAll` or `onTestFinished`. */
export async function createProgramGroup(): Promise<ProgramGroup> {
  const directory = await mkdtemp(join(tmpdir(), "pulse-test-"));
  const running = new Set<RunningProgram>();

  const start: ProgramGroup["start"] = (name, args, env = {}) => {
    const program = startProgram(name, args, {
      PATH: process.env.PATH ?? "",
      HOME: directory,
      ...env,
    });
    running.add(program);
    program.exit.then(() => running.delete(program));
    return program;
  };
  return {
    directory,
    start,
    async run(name, args, env) {
      const program = start(name, args, env);
      const exit = await withPatience(program.exit, () => report(`${name} does not end`, program));
      return { ...exit, stdout: program.stdout, stderr: program.stderr };
    },
    async stop() {
      const exits = [...running].map((program) => {
        program.kill("SIGKILL");
        return program.exit;
      });
      await Promise.all(exits);
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function startProgram(
  name: ProgramName,
  args: readonly string[],
  env: Record<string, string>,
): RunningProgram {
  const script = join(ROOT, "dist", "src", "cli", `${name}.js`);
  const child = spawn(process.execPath, [script, ...args], {
    cwd: ROOT,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  const listeners = new Set<() => void>();
  const heard = () => {
    for (const listener of listeners) listener();
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    heard();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exit = new Promise<Exit>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });

  /** Asks after every output until the answer is there. */
  function until<T>(wanted: string, ask: () => T | undefined): Promise<T> {
    const found = new Promise<T>((resolve, reject) => {
      const listener = () => {
        const answer = ask();
        if (answer === undefined) return;
        listeners.delete(listener);
        resolve(answer);
      };
      listeners.add(listener);
      listener();
      exit.then(() => reject(report(`${name} ended before ${wanted}`, program)), reject);
    });
    return withPatience(found, () => report(`${name} waits in vain for ${wanted}`, program));
  }

  const program: RunningProgram = {
    pid: child.pid ?? 0,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    get lines() {
      return logLines(stdout);
    },
    line: (msg, from = 0) =>
      until(`the log line ${msg}`, () =>
        logLines(stdout)
          .slice(from)
          .find((line) => line.msg === msg),
      ),
    output: (pattern, from = 0) =>
      until(`${pattern}`, () => (pattern.test(stdout.slice(from)) ? null : undefined)).then(
        () => {},
      ),
    exit,
    kill: (signal) => void child.kill(signal),
    async stop() {
      child.kill("SIGTERM");
      const insist = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
      try {
        return await exit;
      } finally {
        clearTimeout(insist);
      }
    },
  };
  return program;
}

function logLines(stdout: string): LogLine[] {
  return stdout
    .split("\n")
    .slice(0, -1) // the last is not whole yet
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line) as LogLine);
}

function report(problem: string, program: { stdout: string; stderr: string }): Error {
  return new Error(`${problem}\n--- stdout\n${program.stdout}\n--- stderr\n${program.stderr}`);
}

async function withPatience<T>(promise: Promise<T>, complain: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(complain()), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
