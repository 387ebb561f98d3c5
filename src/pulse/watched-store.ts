import type { Log } from "../lib/log.js";
import { type Store, StoreUnavailableError } from "../store/store.js";

/** A store that says when it cannot be used, and when it can be used again. */
export interface WatchedStore extends Store {
  readonly isAvailable: boolean;
}

/**
 * Watches the writes to a store: callers are told of each failure, an operator
 * of the first one and of the end, in the log and by `onChange`.
 */
export function watchStore(
  store: Store,
  log: Log,
  onChange: (isAvailable: boolean) => void,
): WatchedStore {
  let isAvailable = true;

  async function watch(write: Promise<void>): Promise<void> {
    try {
      await write;
    } catch (error) {
      if (error instanceof StoreUnavailableError) setAvailable(false, error);
      throw error;
    }
    setAvailable(true);
  }

  function setAvailable(next: boolean, error?: Error): void {
    if (next === isAvailable) return;
    isAvailable = next;
    if (next) log.info({}, "store.available");
    else log.error({ err: error }, "store.unavailable");
    onChange(next);
  }

  return {
    get isAvailable() {
      return isAvailable;
    },
    load: (maxHistory) => store.load(maxHistory),
    commit: (commits, previous) => watch(store.commit(commits, previous)),
    flush: (flush) => watch(store.flush(flush)),
    compact: (revision) => watch(store.compact(revision)),
    close: () => store.close(),
  };
}
