import { existsSync } from "node:fs";
import { mkdtemp, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/** Where a program comes from: this system, or a newer Debian in a directory of its own. */
export type Release = "installed" | "trixie";

/** Root directory of that newer Debian, which `.ci/run` makes. */
export const TRIXIE_ROOT = process.env.PULSE_TEST_TRIXIE ?? "/var/lib/pulse-test/trixie";

const PATH = process.env.PATH ?? "";
/** Ends what it becomes together with us, however we end. */
const WITH_US = process.platform === "linux" ? ["setpriv", "--pdeathsig", "KILL"] : [];

export function hasProgram(release: Release, program: string): boolean {
  if (release === "trixie" && process.getuid?.() !== 0) return false; // who else may chroot?
  const directories = release === "trixie" ? [join(TRIXIE_ROOT, "usr/bin")] : PATH.split(delimiter);
  return directories.some((directory) => existsSync(join(directory, program)));
}

/** A directory, and what programs of that release call it. */
export interface Place {
  readonly directory: string;
  readonly ownName: string;
}

/** A new directory that programs of that release see. */
export async function createPlace(release: Release): Promise<Place> {
  const root = release === "trixie" ? TRIXIE_ROOT : "";
  const parent = root === "" ? await realpath(tmpdir()) : join(root, "tmp");
  const directory = await mkdtemp(join(parent, "pulse-test-client-"));
  return { directory, ownName: directory.slice(root.length) };
}

/** The words that start a program of that release. */
export function commandLine(release: Release, words: readonly string[]): readonly string[] {
  return [...WITH_US, ...(release === "trixie" ? ["chroot", TRIXIE_ROOT] : []), ...words];
}
