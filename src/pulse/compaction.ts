import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Store, StoreUnavailableError } from "../store/store.js";
import type { History } from "./history.js";

const INTERVAL_MS = 60_000;

export interface CompactionOptions {
  readonly history: History;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Compaction {
  /** To be called after commits: compacts before its time if far too much is kept. */
  afterCommit(): void;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** Forgets old changes in the background, first in memory and then in the store. */
export function startCompaction({ history, store, clock, log }: CompactionOptions): Compaction {
  let running = Promise.resolve();
  let isRunning = false;
  const timer = repeat(clock, INTERVAL_MS, start);

  function start(): void {
    const revision = history.prune(clock.wallNow());
    if (revision === undefined) return;
    isRunning = true;
    running = running.then(() => compact(revision));
  }

  async function compact(revision: bigint): Promise<void> {
    try {
      await store.compact(revision);
      log.debug({ revision: String(revision) }, "history.compacted");
    } catch (error) {
      // The next one takes along what stayed.
      if (!(error instanceof StoreUnavailableError))
        log.error({ err: error }, "history.compaction_failed");
    } finally {
      isRunning = false;
    }
  }

  return {
    afterCommit() {
      if (!isRunning && history.isOverfull) start();
    },
    stop() {
      timer.cancel();
      return running;
    },
  };
}
