import type { Stats } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Configuration, ConfigurationReader } from "./configuration.js";
import { ARIA2_READER } from "./readers/aria2.js";
import { DELUGE_READER } from "./readers/deluge.js";
import { NZBGET_READER } from "./readers/nzbget.js";
import { QBITTORRENT_READER } from "./readers/qbittorrent.js";
import { SABNZBD_READER } from "./readers/sabnzbd.js";
import { TRANSMISSION_READER } from "./readers/transmission.js";

/** Some hundred times what they have. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

const READERS: readonly ConfigurationReader[] = [
  QBITTORRENT_READER,
  TRANSMISSION_READER,
  DELUGE_READER,
  SABNZBD_READER,
  NZBGET_READER,
  ARIA2_READER,
];

/** Where to look. */
export interface Places {
  /** Home directory of this user. */
  readonly home: string;
  /** Before all other paths; left out, nothing. For tests. */
  readonly root?: string;
}

export interface FoundConfiguration extends Configuration {
  readonly kind: string;
  readonly file: string;
}

export interface FoundConfigurations {
  /** This user's own first, and of each file once. */
  readonly found: readonly FoundConfiguration[];
  /** Files that are there, but not for this user, with the reason. */
  readonly closed: readonly {
    readonly file: string;
    readonly kind: string;
    readonly code: string;
  }[];
}

/** Reads the configuration files of all kinds in their usual places. Never rejects for one that is bad. */
export async function readConfigurations(places: Places): Promise<FoundConfigurations> {
  const found: FoundConfiguration[] = [];
  const closed: { file: string; kind: string; code: string }[] = [];
  const seen = new Set<string>();
  for (const reader of READERS)
    for (const { file, home } of await candidatesOf(reader, places)) {
      try {
        const path = await realpath(file);
        if (seen.has(path) || !isReadable(await stat(path))) continue;
        seen.add(path);
        const configuration = reader.read(await readFile(path, "utf8"), home);
        if (configuration) found.push({ ...configuration, kind: reader.kind, file });
      } catch (error) {
        const { code = "unknown error" } = error as NodeJS.ErrnoException;
        if (!["ENOENT", "ENOTDIR"].includes(code)) closed.push({ file, kind: reader.kind, code });
      }
    }
  return { found, closed };
}

interface Candidate {
  readonly file: string;
  readonly home: string | undefined;
}

async function candidatesOf(
  { inHome, serviceHomes, elsewhere }: ConfigurationReader,
  { home, root = "" }: Places,
): Promise<readonly Candidate[]> {
  const expanded = await Promise.all(serviceHomes.map((path) => expand(join(root, path))));
  const homes = [home, ...expanded.flat()];
  return [
    ...homes.flatMap((home) => inHome.map((path) => ({ file: join(home, path), home }))),
    ...elsewhere.map((path) => ({ file: join(root, path), home: undefined })),
  ];
}

/** Only a `*` at the end. */
async function expand(path: string): Promise<readonly string[]> {
  if (!path.endsWith("*")) return [path];
  const directory = dirname(path);
  const start = basename(path).slice(0, -1);
  const names = await readdir(directory).catch(() => []);
  return names
    .filter((name) => name.startsWith(start))
    .sort()
    .map((name) => join(directory, name));
}

function isReadable(stats: Stats): boolean {
  return stats.isFile() && stats.size <= MAX_FILE_BYTES;
}
