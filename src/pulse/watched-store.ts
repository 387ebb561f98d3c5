import type { Clock } from "../lib/clock.js";
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
 * How long a kind of use that failed is taken to fail still, unless it goes well, in ms:
 * so long as others go well. What fails seldom may not be tried again for hours.
 */
const FAILURE_LASTS_MS = 5_000;

/**
 * Watches what is asked of a store: callers are told of each failure, an operator
 * of the first one and of the end, in the log and by `onChange`. Each kind of use
 * counts by itself: a database that can be read may be full, and one that renews a
 * node's row may have its clock locked.
 */
export function watchStore(
  store: Store,
  clock: Clock,
  log: Log,
  onChange: (isAvailable: boolean) => void,
): WatchedStore {
  let isAvailable = true;
  /** When each kind of use failed last that has not gone well since. */
  const failedAt = new Map<Kind, number>();

  const watch: Watch = async (kind, use) => {
    const result = await tellOfFailure(kind, use);
    tellOfSuccess(kind);
    return result;
  };

  const tellOfFailure: Watch = async (kind, use) => {
    try {
      return await use;
    } catch (error) {
      if (error instanceof StoreUnavailableError) {
        failedAt.set(kind, clock.now());
        setAvailable(false, error);
      }
      throw error;
    }
  };

  function tellOfSuccess(kind: Kind): void {
    failedAt.delete(kind);
    for (const [other, at] of failedAt)
      if (at < clock.now() - FAILURE_LASTS_MS) failedAt.delete(other);
    if (failedAt.size === 0) setAvailable(true);
  }

  async function watchCommit(request: CommitRequest): Promise<void> {
    let mustWrite = false;
    const decide: CommitRequest["decide"] = (news) => {
      const commits = request.decide(news);
      mustWrite = commits.length > 0;
      return commits;
    };
    await tellOfFailure("write", store.commit({ ...request, decide }));
    if (mustWrite) tellOfSuccess("write");
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
    flush: (flush) => watch("write", store.flush(flush)),
    noteTokenUses: (uses) => watch("write", store.noteTokenUses(uses)),
    tokenUses: () => watch("read", store.tokenUses()),
    compact: (revision) => watch("write", store.compact(revision)),
    appendAudit: (entries) => watch("write", store.appendAudit(entries)),
    readAudit: (request) => watch("read", store.readAudit(request)),
    trimAudit: (before) => watch("write", store.trimAudit(before)),
    rotateKeys: (onStep) => watch("write", store.rotateKeys(onStep)),
    shared: store.shared && watchShared(store.shared, watch),
    close: () => store.close(),
  };
}

/** What may go well while another does not. */
type Kind = "read" | "write" | "renew";
type Watch = <T>(kind: Kind, use: Promise<T>) => Promise<T>;

function watchShared(shared: SharedStore, watch: Watch): SharedStore {
  return {
    name: shared.name,
    since: (known) => watch("read", shared.since(known)),
    listen: (onHint) => shared.listen(onHint),
    spare: (allowance) => watch("write", shared.spare(allowance)),
    join: (node) => watch("renew", shared.join(node)),
    renew: (nodeId) => watch("renew", shared.renew(nodeId)),
    exchangeReports: (nodeId, report) => watch("renew", shared.exchangeReports(nodeId, report)),
    bury: (nodeId, allowance, onlyIfDead) =>
      watch("write", shared.bury(nodeId, allowance, onlyIfDead)),
    hold: (nodeId, changes) => watch("write", shared.hold(nodeId, changes)),
    due: () => watch("read", shared.due()),
  };
}
