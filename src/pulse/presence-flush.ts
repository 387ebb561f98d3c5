import type { Clock, Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Store, StoreUnavailableError } from "../store/store.js";
import type { Leases } from "./leases.js";
import { presenceOf } from "./live-lease.js";

/**
 * The first flush comes soon, and each later one after twice the time, up to 5 s:
 * however short the runs of a Pulse that is killed all the time, registry time
 * gets on by a third of them at least, and the dead expire.
 */
const FIRST_FLUSH_MS = 250;
const MAX_FLUSH_INTERVAL_MS = 5_000;

export interface PresenceFlushOptions {
  readonly leases: Leases;
  readonly store: Store;
  readonly clock: Clock;
  readonly registryNow: () => number;
  readonly log: Log;
}

/** Writes signs of life and registry time in batches, for a Pulse that has its store alone. */
export function startPresenceFlush(options: PresenceFlushOptions): { stop(): Promise<void> } {
  const { leases, store, clock, registryNow, log } = options;
  let flushing = Promise.resolve();
  let nextFlush: Timer;
  flushIn(FIRST_FLUSH_MS);

  function flushIn(delayMs: number): void {
    nextFlush = clock.setTimer(delayMs, () => {
      startFlush();
      flushIn(Math.min(2 * delayMs, MAX_FLUSH_INTERVAL_MS));
    });
  }

  function startFlush(): void {
    flushing = flushing.then(flush);
  }

  async function flush(): Promise<void> {
    const taken = leases.takeUnflushed();
    if (taken.size === 0 && leases.size === 0) return;
    const presences = [...taken].map((lease) => ({
      serviceId: lease.record.id,
      leaseId: lease.record.leaseId,
      ...presenceOf(lease),
    }));
    try {
      await store.flush({ registryTimeMs: registryNow(), presences });
    } catch (error) {
      leases.unflushed(taken); // the next flush takes them along
      if (!(error instanceof StoreUnavailableError))
        log.error({ err: error }, "presence.flush_failed");
    }
  }

  return {
    /** Ends the timer and writes what is unflushed. */
    async stop() {
      nextFlush.cancel();
      startFlush();
      await flushing;
    },
  };
}
