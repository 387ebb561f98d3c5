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
  let state: "idle" | "running" | "stopped" = "idle";
  let running = Promise.resolve();
  const timer = repeat(clock, INTERVAL_MS, start);

  function start(): void {
    const revision = state === "idle" ? history.prune(clock.wallNow()) : undefined;
    if (revision === undefined) return;
    state = "running";
    running = compact(revision);
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
      if (state === "running") state = "idle";
    }
  }

  return {
    afterCommit() {
      if (history.isOverfull) start();
    },
    stop() {
      state = "stopped";
      timer.cancel();
      return running;
    },
  };
}
