import { vi } from "vitest";
import { Catalog } from "../../src/core/catalog.js";
import type { Commit } from "../../src/core/change.js";
import { SqliteStore } from "../../src/store/sqlite-store.js";
import type { StoredRegistry } from "../../src/store/store.js";
import { catalogDifference, type Moment, TrueHistory } from "./watch-truth.js";

/**
 * Sees what is committed to SQLite by all Pulses of this process, by looking on while
 * their stores are given it.
 */
export class SpiedHistory extends TrueHistory {
  /** What a store read that is not what was committed to it. */
  readonly broken: string[] = [];
  readonly #restore: () => void;

  constructor() {
    super();
    const { load, commit } = SqliteStore.prototype;
    const open = new WeakMap<SqliteStore, { catalog: Catalog; epoch: string; newest: Moment }>();
    const history = this;
    const loading = vi.spyOn(SqliteStore.prototype, "load").mockImplementation(async function (
      this: SqliteStore,
      maxHistory,
    ) {
      const stored = await load.call(this, maxHistory);
      const catalog = Catalog.load(stored);
      open.set(this, { catalog, epoch: stored.epoch, newest: history.#opened(catalog, stored) });
      return stored;
    });
    const committing = vi.spyOn(SqliteStore.prototype, "commit").mockImplementation(async function (
      this: SqliteStore,
      request,
    ) {
      let commits: readonly Commit[] = [];
      await commit.call(this, {
        ...request,
        decide(news) {
          commits = request.decide(news);
          return commits;
        },
      });
      const store = open.get(this);
      for (const made of store ? commits : []) {
        if (!store) continue;
        store.catalog.apply(made);
        const { revision, stamp } = made;
        const point = { epoch: store.epoch, revision, stamp };
        store.newest = history.add(store.catalog, point, store.newest);
      }
    });
    this.#restore = () => {
      loading.mockRestore();
      committing.mockRestore();
    };
  }

  /** To be called at the end. */
  uninstall(): void {
    this.#restore();
  }

  #opened(catalog: Catalog, { epoch, revision, stamp }: StoredRegistry): Moment {
    const point = { epoch, revision, stamp };
    const written = this.at(point);
    if (!written) return this.add(catalog, point, undefined);
    const difference = catalogDifference(catalog, written);
    if (difference !== undefined) this.broken.push(`read at ${revision}: ${difference}`);
    return written;
  }
}
