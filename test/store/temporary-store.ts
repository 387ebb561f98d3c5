import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemRandom } from "../../src/lib/random.js";
import { openSqliteStore } from "../../src/store/sqlite.js";
import type { Store } from "../../src/store/store.js";

/** A directory of the test's own. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "pulse-store-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A store that is closed when the test ends. */
export async function openStore(directory: string, secretKey?: string): Promise<Store> {
  const store = await openSqliteStore({
    directory,
    random: systemRandom,
    ...(secretKey === undefined ? {} : { secretKey }),
  });
  onTestFinished(() => store.close());
  return store;
}
