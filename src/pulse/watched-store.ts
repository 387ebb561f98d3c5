import type { Log } from "../lib/log.js";
import {
  type CommitRequest,
  type SharedStore,
  type Store,
  StoreUnavailableError,
} from "../store/store.js";

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

  /** What is only read says nothing of a database that is full, or a standby. */
  async function watchRead<T>(use: Promise<T>): Promise<T> {
    try {
      return await use;
    } catch (error) {
      if (error instanceof StoreUnavailableError) setAvailable(false, error);
      throw error;
    }
  }

  async function watchWrite<T>(use: Promise<T>): Promise<T> {
    const result = await watchRead(use);
    setAvailable(true);
    return result;
  }

  async function watchCommit(request: CommitRequest): Promise<void> {
    let mustWrite = false;
    const decide: CommitRequest["decide"] = (news) => {
      const commits = request.decide(news);
      mustWrite = commits.length > 0;
      return commits;
    };
    await watchRead(store.commit({ ...request, decide }));
    if (mustWrite) setAvailable(true);
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
    commit: watchCommit,
    flush: (flush) => watchWrite(store.flush(flush)),
    compact: (revision) => watchWrite(store.compact(revision)),
    shared: store.shared && watchShared(store.shared, watchRead, watchWrite),
    close: () => store.close(),
  };
}

type Watch = <T>(use: Promise<T>) => Promise<T>;

function watchShared(shared: SharedStore, read: Watch, write: Watch): SharedStore {
  return {
    name: shared.name,
    since: (known) => read(shared.since(known)),
    listen: (onHint) => shared.listen(onHint),
    join: (node) => write(shared.join(node)),
    renew: (nodeId) => write(shared.renew(nodeId)),
    exchangeReports: (nodeId, report) => write(shared.exchangeReports(nodeId, report)),
    bury: (nodeId, allowance, onlyIfDead) => write(shared.bury(nodeId, allowance, onlyIfDead)),
    hold: (nodeId, changes) => write(shared.hold(nodeId, changes)),
    due: () => read(shared.due()),
  };
}
