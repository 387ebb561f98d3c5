import { LapseGuard } from "../core/liveness.js";
import { type Clock, repeat, type Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Store, StoreUnavailableError } from "../store/store.js";
import { type Leases, type LiveLease, presenceOf } from "./leases.js";

/** How often leases are looked at, in ms: what a lapse may be late by. */
export const SWEEP_INTERVAL_MS = 250;
/**
 * The first flush comes soon, and each later one after twice the time, up to 5 s:
 * however short the runs of a Pulse that is killed all the time, registry time
 * gets on by a third of them at least, and the dead expire.
 */
const FIRST_FLUSH_MS = 250;
const MAX_FLUSH_INTERVAL_MS = 5_000;

export interface ExpiryOptions {
  readonly leases: Leases;
  readonly store: Store;
  readonly clock: Clock;
  readonly registryNow: () => number;
  /** TTL in which lapses are counted together. */
  readonly windowMs: number;
  readonly log: Log;
  /** Told when expiry is held because too many lapse at once, and when that is over. */
  readonly onHold: (isHeld: boolean) => void;
}

export interface Expiry {
  /** True while more than half of the fleet lapsing at once is taken for our own fault. */
  readonly isHeld: boolean;
  /** Ends the timers and writes what is unflushed. */
  stop(): Promise<void>;
}

/** Sweeps the leases, carries out lapses, and flushes signs of life in batches. */
export function startExpiry(options: ExpiryOptions): Expiry {
  const { leases, store, clock, registryNow, log } = options;
  const guard = new LapseGuard(options.windowMs);
  let isHeld = false;
  let flushing = Promise.resolve();

  const sweeps = repeat(clock, SWEEP_INTERVAL_MS, sweep);
  let nextFlush: Timer;
  flushIn(FIRST_FLUSH_MS);

  function sweep(): void {
    const now = registryNow();
    const due: [LiveLease, "expired" | "disconnected"][] = [];
    let alive = 0;
    for (const lease of leases.all()) {
      const isOffline = lease.record.status === "offline";
      if (!isOffline) alive++;
      const lapse = leases.lapse(lease, now);
      if (!lapse || lease.isChanging) continue;
      if (isOffline) leases.carryOutLapse(lease, lapse);
      else due.push([lease, lapse]);
    }
    const mayLapse = guard.allows(now, due.length, alive);
    setHeld(guard.state.name === "holding", due.length, alive);
    if (mayLapse) for (const [lease, lapse] of due) leases.carryOutLapse(lease, lapse);
  }

  function setHeld(held: boolean, due: number, alive: number): void {
    if (held === isHeld) return;
    isHeld = held;
    if (held) log.warn({ due, alive, forMs: options.windowMs }, "expiry.held");
    else log.warn({ due, alive }, "expiry.goes_on");
    options.onHold(held);
  }

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
        log.error({ err: error }, "expiry.flush_failed");
    }
  }

  return {
    get isHeld() {
      return isHeld;
    },
    async stop() {
      sweeps.cancel();
      nextFlush.cancel();
      startFlush();
      await flushing;
    },
  };
}
