import type { Log } from "../lib/log.js";
import { type SharedStore, type Store, StoreUnavailableError } from "../store/store.js";

/** A store that says when it cannot be used, and when it can be used again. */
export interface WatchedStore extends Store {
  readonly isAvailable: boolean;
}

/**
 * Watches what is asked of a store: callers are told of each failure, an operator
 * of the first one and of the end, in the log and by `onChange`.
 */
export function watchStore(
  store: Store,
  log: Log,
  onChange: (isAvailable: boolean) => void,
): WatchedStore {
  let isAvailable = true;

  async function watch<T>(use: Promise<T>): Promise<T> {
    let result: T;
    try {
      result = await use;
    } catch (error) {
      if (error instanceof StoreUnavailableError) setAvailable(false, error);
      throw error;
    }
    setAvailable(true);
    return result;
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
    commit: (request) => watch(store.commit(request)),
    flush: (flush) => watch(store.flush(flush)),
    compact: (revision) => watch(store.compact(revision)),
    shared: store.shared && watchShared(store.shared, watch),
    close: () => store.close(),
  };
}

function watchShared(shared: SharedStore, watch: <T>(use: Promise<T>) => Promise<T>): SharedStore {
  return {
    name: shared.name,
    since: (known) => watch(shared.since(known)),
    listen: (onHint) => shared.listen(onHint),
    join: (node) => watch(shared.join(node)),
    renew: (nodeId) => watch(shared.renew(nodeId)),
    exchangeReports: (nodeId, report) => watch(shared.exchangeReports(nodeId, report)),
    bury: (nodeId, allowance, onlyIfDead) => watch(shared.bury(nodeId, allowance, onlyIfDead)),
    hold: (nodeId, changes) => watch(shared.hold(nodeId, changes)),
    due: () => watch(shared.due()),
  };
}
