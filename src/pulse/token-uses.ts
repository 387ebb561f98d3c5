import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Store, StoreUnavailableError, type TokenUse } from "../store/store.js";

/** How old what others see of a use may be, in ms. */
export const USE_FLUSH_INTERVAL_MS = 30_000;

export interface TokenUsesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** When tokens were used last: kept in memory, and written in batches without a revision. */
export interface TokenUses {
  /** To be called for each call, and for a stream as it opens. */
  note(tokenId: string): void;
  /** In wall-clock ms, of every token that was used, by whomever; of this Pulse alone while the store is away. */
  all(): Promise<ReadonlyMap<string, number>>;
  /** Ends the timer, and writes what is not written. */
  stop(): Promise<void>;
}

export function startTokenUses({ store, clock, log }: TokenUsesOptions): TokenUses {
  const uses = new Map<string, number>();
  let unwritten = new Set<string>();
  let flushing = Promise.resolve();

  async function flush(): Promise<void> {
    if (unwritten.size === 0) return;
    const taken = unwritten;
    unwritten = new Set();
    try {
      await store.noteTokenUses([...taken].map((tokenId) => useOf(tokenId)));
    } catch (error) {
      for (const tokenId of taken) unwritten.add(tokenId); // the next flush takes them along
      if (!(error instanceof StoreUnavailableError))
        log.error({ err: error }, "tokens.uses_not_written");
    }
  }

  function useOf(tokenId: string): TokenUse {
    return { tokenId, usedAt: uses.get(tokenId) ?? 0 };
  }

  function startFlush(): Promise<void> {
    flushing = flushing.then(flush);
    return flushing;
  }

  const flushes = repeat(clock, USE_FLUSH_INTERVAL_MS, () => void startFlush());

  return {
    note(tokenId) {
      uses.set(tokenId, clock.wallNow());
      unwritten.add(tokenId);
    },
    async all() {
      const newest = new Map(uses);
      for (const { tokenId, usedAt } of await store.tokenUses().catch(none))
        newest.set(tokenId, Math.max(usedAt, newest.get(tokenId) ?? usedAt));
      return newest;
    },
    stop() {
      flushes.cancel();
      return startFlush();
    },
  };
}

function none(error: unknown): readonly TokenUse[] {
  if (error instanceof StoreUnavailableError) return [];
  throw error;
}
