import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Catalog } from "../../src/core/catalog.js";
import type { Commit } from "../../src/core/change.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import type { StorePoint } from "../../src/store/store.js";
import { seededRandom } from "./seeded-random.js";
import { catalogDifference, type Moment, TrueHistory } from "./watch-truth.js";

/** What a PostgreSQL says was committed to it, and nothing that a Pulse remembers. */
export interface DatabaseHistory {
  readonly history: TrueHistory;
  /** Oldest first. */
  readonly commits: readonly Commit[];
  /** What is wrong with it in itself: gaps, or rows that are not what the commits make. */
  readonly broken: readonly string[];
}

/** All since the database was empty. Nothing of it may be compacted, and nobody may write any more. */
export async function readDatabaseHistory(
  url: string,
  secretKey: string,
): Promise<DatabaseHistory> {
  const directory = await mkdtemp(join(tmpdir(), "pulse-test-"));
  const store = await openPostgresStore({ url, directory, secretKey, random: seededRandom(1) });
  try {
    if (!store.shared) throw new Error("a PostgreSQL that is not shared");
    const stored = await store.load();
    const history = new TrueHistory();
    const catalog = Catalog.load({
      revision: 0n,
      stamp: "",
      services: [],
      entries: [],
      tokens: [],
    });
    const { epoch } = stored;
    let known: StorePoint = { revision: 0n, stamp: "" };
    let moment: Moment = history.add(catalog, { epoch, ...known }, undefined);
    const commits: Commit[] = [];
    const broken: string[] = [];
    while (known.revision < stored.revision) {
      const since = await store.shared.since(known);
      for (const commit of since.commits) {
        const { revision, stamp } = commit;
        if (revision !== known.revision + 1n)
          broken.push(`revision ${revision} after ${known.revision}`);
        catalog.apply(commit);
        known = { revision, stamp };
        moment = history.add(catalog, { epoch, ...known }, moment);
        commits.push(commit);
      }
    }
    const difference = catalogDifference(Catalog.load(stored), moment);
    if (difference !== undefined) broken.push(`the rows at ${stored.revision}: ${difference}`);
    const logged = stored.history.map(({ revision }) => revision);
    if (logged.some((revision, i) => revision !== BigInt(i + 1)))
      broken.push(`the change log has ${logged}`);
    return { history, commits, broken };
  } finally {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  }
}
