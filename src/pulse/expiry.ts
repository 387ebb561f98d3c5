import { LapseGuard } from "../core/liveness.js";
import { type Clock, repeat, type Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Store } from "../store/store.js";
import { type Leases, type LiveLease, presenceOf } from "./leases.js";

/** How often leases are looked at, in ms: what a lapse may be late by. */
export const SWEEP_INTERVAL_MS = 250;
/** A first flush soon after the start lets even a Pulse that restarts all the time make progress. */
const FIRST_FLUSH_MS = 1_000;
const FLUSH_INTERVAL_MS = 5_000;

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
  let flushFailed = false;

  const timers: Timer[] = [
    repeat(clock, SWEEP_INTERVAL_MS, sweep),
    clock.setTimer(FIRST_FLUSH_MS, startFlush),
    repeat(clock, FLUSH_INTERVAL_MS, startFlush),
  ];

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
      flushFailed = false;
    } catch (error) {
      leases.unflushed(taken);
      if (!flushFailed) log.warn({ err: error }, "expiry.flush_failed");
      flushFailed = true;
    }
  }

  return {
    get isHeld() {
      return isHeld;
    },
    async stop() {
      for (const timer of timers) timer.cancel();
      startFlush();
      await flushing;
    },
  };
}
