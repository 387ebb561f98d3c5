import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Catalog } from "../../src/core/catalog.js";
import type { Commit } from "../../src/core/change.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import { openSqliteStore } from "../../src/store/sqlite.js";
import type { StoredRegistry, StorePoint } from "../../src/store/store.js";
import type { CommitJournal } from "./commit-journal.js";
import { seededRandom } from "./seeded-random.js";
import { catalogDifference, type Moment, TrueHistory } from "./watch-truth.js";

/** What a database says was committed to it, and nothing that a Pulse remembers. */
export interface DatabaseHistory {
  readonly epoch: string;
  readonly history: TrueHistory;
  /** Oldest first. */
  readonly commits: readonly Commit[];
  /** What is wrong with it in itself: gaps, or rows that are not what the commits make. */
  readonly broken: readonly string[];
}

/** All since the PostgreSQL was empty. Nothing of it may be compacted, and nobody may write any more. */
export async function readDatabaseHistory(
  url: string,
  secretKey: string,
): Promise<DatabaseHistory> {
  const directory = await mkdtemp(join(tmpdir(), "pulse-test-"));
  const store = await openPostgresStore({ url, directory, secretKey, random: seededRandom(1) });
  try {
    if (!store.shared) throw new Error("a PostgreSQL that is not shared");
    const stored = await store.load();
    const commits: Commit[] = [];
    let known: StorePoint = { revision: 0n, stamp: "" };
    while (known.revision < stored.revision) {
      const since = await store.shared.since(known);
      commits.push(...since.commits);
      known = commits.at(-1) ?? known;
    }
    return historyOf(stored, commits);
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * The same of the SQLite in a data directory that no Pulse uses. Its change log says which
 * commits there were; what they were is in the journal of those who made them.
 */
export async function readSqliteHistory(
  directory: string,
  journal: CommitJournal,
): Promise<DatabaseHistory> {
  const store = await openSqliteStore({ directory, random: seededRandom(1) });
  try {
    const stored = await store.load();
    const commitOf = await journal.read();
    const commits = stored.history.map((summary) => {
      const commit = commitOf(summary);
      if (!commit) throw new Error(`nobody has decided what the log has at ${summary.revision}`);
      return commit;
    });
    return historyOf(stored, commits);
  } finally {
    await store.close();
  }
}

function historyOf(stored: StoredRegistry, commits: readonly Commit[]): DatabaseHistory {
  const { epoch } = stored;
  const history = new TrueHistory();
  const empty = { epoch, revision: 0n, stamp: "" };
  const catalog = Catalog.load({ ...empty, services: [], entries: [], tokens: [] });
  let moment: Moment = history.add(catalog, empty, undefined);
  const broken: string[] = [];
  for (const commit of commits) {
    const { revision, stamp } = commit;
    if (revision !== moment.point.revision + 1n)
      broken.push(`revision ${revision} after ${moment.point.revision}`);
    catalog.apply(commit);
    moment = history.add(catalog, { epoch, revision, stamp }, moment);
  }
  if (moment.point.revision !== stored.revision || moment.point.stamp !== stored.stamp)
    broken.push(`the clock is at ${stored.revision}, the newest commit ${moment.point.revision}`);
  const difference = catalogDifference(Catalog.load(stored), moment);
  if (difference !== undefined) broken.push(`the rows at ${stored.revision}: ${difference}`);
  const logged = stored.history.map(({ revision }) => revision);
  if (logged.some((revision, i) => revision !== BigInt(i + 1)))
    broken.push(`the change log has ${logged}`);
  return { epoch, history, commits, broken };
}
