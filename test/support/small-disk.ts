import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A shell with a disk in memory that nobody else sees: of its own user and mounts, so that it need not be root. */
const SHELL = ["--map-root-user", "--mount", "sh", "-c"];
const MOUNT = 'mount -t tmpfs -o size="$2" small-disk "$1" && echo mounted && exec cat';

const PAGE = Buffer.alloc(4_096);

/**
 * Why there can be no SmallDisk here; undefined: there can. Says so, since what needs one
 * is skipped then; in CI, where nothing is skipped, throws instead.
 */
export function smallDiskMissing(): string | undefined {
  const { status } = spawnSync("unshare", [...SHELL, "mount -t tmpfs none /tmp"]);
  if (status === 0) return undefined;
  const message = "this user may not mount a disk of his own, by unshare: tests of a full disk";
  if (process.env.CI) throw new Error(`${message} cannot run`);
  console.warn(`${message} are skipped`);
  return message;
}

/** A disk that is full when a test wants it to be. It ends with this process. Linux only. */
export class SmallDisk {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly mountPoint: string,
  ) {}

  static async create(bytes: number): Promise<SmallDisk> {
    const mountPoint = await mkdtemp(join(tmpdir(), "pulse-test-"));
    const command = [...SHELL, MOUNT, "small-disk", mountPoint, `${bytes}`];
    const holder = spawn("unshare", command, { stdio: ["pipe", "pipe", "inherit"] });
    const failed = once(holder, "exit").then(() => {
      throw new Error("the disk cannot be mounted");
    });
    failed.catch(() => {});
    await Promise.race([once(holder.stdout, "data"), failed]);
    return new SmallDisk(holder, mountPoint);
  }

  /** For this process as well as for those that are on it. */
  get directory(): string {
    return `/proc/${this.holder.pid}/root${this.mountPoint}`;
  }

  /** Command and arguments that put the program which follows on it. */
  get enter(): readonly string[] {
    return [
      "nsenter",
      "--target",
      `${this.holder.pid}`,
      "--user",
      "--mount",
      "--preserve-credentials",
    ];
  }

  /** From now on nothing more can be written to it. */
  fill(): void {
    const file = openSync(this.#filling, "a");
    try {
      for (;;) writeSync(file, PAGE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    } finally {
      closeSync(file);
    }
  }

  /** Gives back what `fill` took. */
  async free(): Promise<void> {
    await rm(this.#filling);
  }

  get #filling(): string {
    return join(this.directory, "filling");
  }

  /** To be called when those who are on it are gone. */
  async close(): Promise<void> {
    const gone = once(this.holder, "exit");
    this.holder.stdin?.end();
    await gone;
    await rm(this.mountPoint, { recursive: true });
  }
}
