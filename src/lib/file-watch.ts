import { stat } from "node:fs/promises";
import { type Clock, repeat } from "./clock.js";

/**
 * How often files are looked at. Not by the system's notices: these miss links that are
 * switched, and files on a network.
 */
const LOOK_MS = 2_000;

/** How files looked at one moment, by their paths. */
export type FileLooks = ReadonlyMap<string, string>;

export interface FileWatchOptions {
  /** How the files looked just before they were read. */
  readonly looks: FileLooks;
  readonly clock: Clock;
  /**
   * Reads the files. Returns how those that are to be looked at from now on looked just
   * before that, whether they could be used or not. Must not reject.
   */
  readonly read: () => Promise<FileLooks>;
}

export interface FileWatch {
  /** Reads the files now, changed or not; after all readings before. */
  reload(): Promise<void>;
  /** No reading begins after that. */
  stop(): void;
}

/**
 * Looks at files every 2 s, and has them read once they have changed and then stayed the
 * same for one more look: whoever changes several writes one after the other, and a long
 * one in pieces. Each change is read once, though it cannot be used.
 */
export function watchFiles({ looks, clock, read }: FileWatchOptions): FileWatch {
  /** When they were last read. */
  let used = looks;
  let seen = looks;
  let isLooking = false;
  let isStopped = false;
  let reading: Promise<void> = Promise.resolve();
  const timer = repeat(clock, LOOK_MS, () => void look());

  async function look(): Promise<void> {
    if (isLooking) return; // a file system on a network may take its time
    isLooking = true;
    const before = used;
    const now = await lookAt(before.keys());
    const isSettled = isSame(now, seen);
    seen = now;
    // Unless they have been read meanwhile, on demand.
    if (before === used && isSettled && !isSame(now, used)) await reload();
    isLooking = false;
  }

  function reload(): Promise<void> {
    reading = reading.then(async () => {
      if (!isStopped) used = await read();
    });
    return reading;
  }

  return {
    reload,
    stop() {
      isStopped = true;
      timer.cancel();
    },
  };
}

/** Of a file, this differs once it is another, was written, or a link leads elsewhere. */
export async function lookAt(paths: Iterable<string>): Promise<FileLooks> {
  return new Map(
    await Promise.all(
      [...paths].map(async (path) => [path, await lookAtFile(path)] as [string, string]),
    ),
  );
}

async function lookAtFile(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  }
}

function isSame(a: FileLooks, b: FileLooks): boolean {
  return a.size === b.size && [...a].every(([path, look]) => b.get(path) === look);
}
