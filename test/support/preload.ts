import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunningProgram } from "./processes.js";

// Programs that are started with one of these variables have something of their
// surroundings replaced, and nothing of their own.

type Env = Readonly<Record<string, string>>;

/** NODE_OPTIONS for a program that is to begin with that file of `preload/`. */
export function preloaded(name: string): string {
  return `--import=${join(import.meta.dirname, "preload", `${name}.mjs`)}`;
}

/** What two of these together are. */
export function joinedEnv(...envs: readonly Env[]): Env {
  const options = envs.flatMap(({ NODE_OPTIONS }) => NODE_OPTIONS ?? []);
  return { ...Object.assign({}, ...envs), NODE_OPTIONS: options.join(" ") };
}

/** For programs that `memoryOf` is to be asked of. */
export const MEMORY_PROBE: Env = { NODE_OPTIONS: preloaded("memory-probe") };

/** MEMORY_PROBE that also counts emitters, which takes some 0.2 s each time. */
export const EMITTER_PROBE: Env = { ...MEMORY_PROBE, COUNT_EMITTERS: "true" };

/** What a process holds after a garbage collection. Bytes. */
export interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** Sockets, sessions, streams, calls and whatever else emits events. Only of EMITTER_PROBE, and since Node 20.13. */
  readonly emitters?: number;
  /** What keeps its event loop busy, by kind, such as `TCPSocketWrap` and `Timeout`. */
  readonly handles: Readonly<Record<string, number>>;
  /** Open file descriptors. */
  readonly files: number;
}

/** Collects the garbage of a program with MEMORY_PROBE, and asks what is left. */
export async function memoryOf(program: RunningProgram): Promise<Memory> {
  const from = program.lines.length;
  program.kill("SIGUSR2");
  return (await program.line("memory", from)) as unknown as Memory;
}

/** For programs of which `heapOf` is asked for, in that file. */
export function heapProbe(file: string): Env {
  return { NODE_OPTIONS: preloaded("heap-snapshot"), HEAP_SNAPSHOT: file };
}

/** All that is on the heap of a program with a `heapProbe` after a garbage collection, as V8 writes it. */
export async function heapOf(program: RunningProgram, file: string): Promise<Buffer> {
  const from = program.lines.length;
  program.kill("SIGUSR2");
  await program.line("heap.written", from, 60_000);
  return readFile(file);
}

/** For a Pulse on SQLite that `toggleStore` is to be told. Linux only. */
export const UNWRITABLE_STORE: Env = { NODE_OPTIONS: preloaded("unwritable-store") };

/** Makes the store of a Pulse with UNWRITABLE_STORE unwritable, and writable the next time. */
export async function toggleStore(program: RunningProgram): Promise<void> {
  const from = program.lines.length;
  program.kill("SIGUSR2");
  await program.line("store.made", from);
}

/** A wall clock that a test sets, for the programs that are started with its `env`. */
export class ShiftedClock {
  private constructor(private readonly file: string) {}

  static async create(directory: string): Promise<ShiftedClock> {
    const clock = new ShiftedClock(join(directory, "shifted-clock"));
    await clock.shift(0);
    return clock;
  }

  get env(): Env {
    return { NODE_OPTIONS: preloaded("shifted-clock"), SHIFTED_CLOCK: this.file };
  }

  /** From a moment later on, 0.1 s at most, the wall clock is wrong by so much. */
  shift(ms: number): Promise<void> {
    return replace(this.file, String(ms));
  }
}

/** Host names whose addresses a test changes, for the programs that are started with its `env`. */
export class MovingNames {
  private constructor(private readonly file: string) {}

  static async create(
    directory: string,
    names: Readonly<Record<string, readonly string[]>>,
  ): Promise<MovingNames> {
    const moving = new MovingNames(join(directory, "moving-names"));
    await moving.set(names);
    return moving;
  }

  get env(): Env {
    return { NODE_OPTIONS: preloaded("moving-names"), MOVING_NAMES: this.file };
  }

  /** An empty list: the name cannot be looked up. */
  set(names: Readonly<Record<string, readonly string[]>>): Promise<void> {
    return replace(this.file, JSON.stringify(names));
  }
}

/**
 * For programs whose time is to pass so many times as fast: their timers, and what they
 * measure by. The wall clock is everybody's. What takes the machine a while takes them
 * longer by the same factor, so deadlines of theirs come sooner than they should.
 */
export function hastyClock(factor: number): Env {
  return { NODE_OPTIONS: preloaded("hasty-clock"), HASTY_CLOCK: String(factor) };
}

/** So that nobody reads a half of it. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}
