import { LapseGuard } from "../core/liveness.js";
import { isGone } from "../core/service.js";
import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { DueLease } from "../store/store.js";
import type { Leases } from "./leases.js";

/** How often leases are looked at, in ms: what a lapse may be late by. */
export const SWEEP_INTERVAL_MS = 250;

export interface ExpiryOptions {
  readonly leases: Leases;
  /** Those that are due and that no node holds, as last seen in a shared store. */
  readonly dueElsewhere?: () => readonly DueLease[];
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
  stop(): void;
}

/** Sweeps the leases and carries out lapses. */
export function startExpiry(options: ExpiryOptions): Expiry {
  const { leases, dueElsewhere = () => [], registryNow, log } = options;
  const guard = new LapseGuard(options.windowMs);
  let isHeld = false;

  const sweeps = repeat(options.clock, SWEEP_INTERVAL_MS, sweep);

  function sweep(): void {
    const now = registryNow();
    const due: (() => void)[] = [];
    let alive = 0;
    for (const lease of leases.all()) {
      // One that is OFFLINE by its own word is silent for the same causes as any other.
      const isKnownGone = isGone(lease.record);
      if (!isKnownGone) alive++;
      const lapse = leases.lapse(lease, now);
      if (!lapse || lease.isChanging) continue;
      if (isKnownGone) leases.carryOutLapse(lease, lapse);
      else due.push(() => leases.carryOutLapse(lease, lapse));
    }
    for (const { serviceId, holding } of dueElsewhere()) {
      const lease = leases.ofDue(serviceId, holding);
      if (lease && !lease.isChanging) due.push(() => leases.carryOutDue(lease, holding));
    }
    const doubtful = due.length > 0 ? countDoubtful(now) : 0;
    const mayLapse = guard.allows(now, due.length, alive, doubtful);
    setHeld(guard.state.name === "holding", { due: due.length, doubtful, alive });
    if (mayLapse) for (const carryOut of due) carryOut();
  }

  function countDoubtful(now: number): number {
    let doubtful = 0;
    for (const lease of leases.all())
      if (!leases.lapse(lease, now) && leases.isDoubtful(lease, now)) doubtful++;
    return doubtful;
  }

  function setHeld(held: boolean, counts: object): void {
    if (held === isHeld) return;
    isHeld = held;
    if (held) log.warn({ ...counts, forMs: options.windowMs }, "expiry.held");
    else log.warn(counts, "expiry.goes_on");
    options.onHold(held);
  }

  return {
    get isHeld() {
      return isHeld;
    },
    stop: () => sweeps.cancel(),
  };
}
