import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";

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
   * Rejects if the program ends first, or after `withinMs` (15 s), with all that it wrote.
   */
  line(msg: string, from?: number, withinMs?: number): Promise<LogLine>;
  /** Resolves when what stdout holds from index `from` on matches; rejects as `line` does. */
  output(pattern: RegExp, from?: number): Promise<void>;
  readonly exit: Promise<Exit>;
  /** Its standard input; a program of this project has none. */
  write(line: string): void;
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
    /** Begins the command line: a program that becomes the one that follows. */
    launcher?: readonly string[],
  ): RunningProgram;
  /** Starts a script of `programs/`, which is in these tests' own service. */
  startScript(
    name: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): RunningProgram;
  /** Starts it and waits for its end, at most 15 s. */
  run(
    name: ProgramName,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<Exit & { readonly stdout: string; readonly stderr: string }>;
  /**
   * Kills what still runs and removes the directory. Rejects if one of them ended by
   * an error that nobody caught: no failure of another program may lead to that.
   */
  stop(): Promise<void>;
}

/** What Node writes last when an error, or a rejection, was caught by nobody. */
const CRASH = /^Node\.js v\d/m;

/** Begin with this in `beforeAll` or a test, and call `stop` in `afterAll` or `onTestFinished`. */
export async function createProgramGroup(): Promise<ProgramGroup> {
  const directory = await mkdtemp(join(tmpdir(), "pulse-test-"));
  const running = new Set<RunningProgram>();
  const crashes: Error[] = [];

  function add(program: RunningProgram, name: string): RunningProgram {
    running.add(program);
    program.exit.then(() => {
      running.delete(program);
      if (CRASH.test(program.stderr)) crashes.push(report(`${name} has crashed`, program));
    });
    return program;
  }
  const envOf = (env: Readonly<Record<string, string>>) => ({
    PATH: process.env.PATH ?? "",
    HOME: directory,
    ...env,
  });

  const start: ProgramGroup["start"] = (name, args, env = {}, launcher = []) => {
    const script = join(ROOT, "dist", "src", "cli", `${name}.js`);
    const [command = "", ...words] = [...launcher, process.execPath, script, ...args];
    const child = spawn(command, words, {
      cwd: ROOT,
      env: envOf(env),
      stdio: ["ignore", "pipe", "pipe"],
    });
    return add(watchProgram(name, child), name);
  };
  return {
    directory,
    start,
    startScript(name, args, env = {}) {
      const script = join(import.meta.dirname, "programs", `${name}.ts`);
      const child = spawn(process.execPath, ["--import", "tsx", script, ...args], {
        cwd: ROOT,
        env: envOf(env),
        stdio: ["pipe", "pipe", "pipe"],
      });
      child.stdin.on("error", () => {}); // it may be gone
      return add(watchProgram(name, child), name);
    },
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
      if (crashes.length > 0) throw crashes[0];
    },
  };
}

function watchProgram(
  name: string,
  child: ChildProcess & { readonly stdout: Readable; readonly stderr: Readable },
): RunningProgram {
  let stdout = "";
  let stderr = "";
  const lines: LogLine[] = [];
  let unfinished = "";
  const listeners = new Set<() => void>();
  const heard = () => {
    for (const listener of listeners) listener();
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    const whole = (unfinished + text).split("\n");
    unfinished = whole.pop() ?? "";
    for (const line of whole) {
      const parsed = logLine(line);
      if (parsed) lines.push(parsed);
    }
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
  function until<T>(wanted: string, ask: () => T | undefined, withinMs?: number): Promise<T> {
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
    const complain = () => report(`${name} waits in vain for ${wanted}`, program);
    return withPatience(found, complain, withinMs);
  }

  const program: RunningProgram = {
    pid: child.pid ?? 0,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    lines,
    line: (msg, from = 0, withinMs) =>
      until(
        `the log line ${msg}`,
        () => lines.find((line, i) => i >= from && line.msg === msg),
        withinMs,
      ),
    output: (pattern, from = 0) =>
      until(`${pattern}`, () => (pattern.test(stdout.slice(from)) ? null : undefined)).then(
        () => {},
      ),
    exit,
    write: (line) => void child.stdin?.write(`${line}\n`),
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

function logLine(line: string): LogLine | undefined {
  return line.startsWith("{") && line.endsWith("}") ? (JSON.parse(line) as LogLine) : undefined;
}

function report(problem: string, program: { stdout: string; stderr: string }): Error {
  return new Error(`${problem}\n--- stdout\n${program.stdout}\n--- stderr\n${program.stderr}`);
}

async function withPatience<T>(
  promise: Promise<T>,
  complain: () => Error,
  withinMs = PATIENCE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(complain()), withinMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
