import { DomainError } from "../core/errors.js";
import { forget, isForgettable } from "../core/registration.js";
import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Registry } from "./registry.js";

/** How often to look, in ms; more often if a service is to be forgotten after less than some hours. */
const MAX_INTERVAL_MS = 60_000;
const MIN_INTERVAL_MS = 250;

export interface ForgettingOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly registryNow: () => number;
  /** Registry time in ms. */
  readonly forgetAfterMs: number;
  readonly log: Log;
}

/** Removes services that have been OFFLINE for long. */
export function startForgetting(options: ForgettingOptions): { stop(): void } {
  const { registry, clock, registryNow, forgetAfterMs, log } = options;
  const intervalMs = Math.max(MIN_INTERVAL_MS, Math.min(MAX_INTERVAL_MS, forgetAfterMs / 10));
  /** Asked for and not yet decided. */
  const asked = new Set<string>();

  function sweep(): void {
    const now = registryNow();
    for (const service of registry.catalog.services())
      if (isForgettable(service, now, forgetAfterMs) && !asked.has(service.id))
        void forgetOne(service.id);
  }

  async function forgetOne(serviceId: string): Promise<void> {
    asked.add(serviceId);
    try {
      const forgotten = await registry.run(forget(serviceId, forgetAfterMs));
      if (forgotten) log.info({ serviceId }, "service.forgotten");
    } catch (error) {
      // The next sweep tries again. A refusal, such as that the store is down, is said elsewhere.
      if (!(error instanceof DomainError))
        log.error({ err: error, serviceId }, "service.not_forgotten");
    } finally {
      asked.delete(serviceId);
    }
  }

  const timer = repeat(clock, intervalMs, sweep);
  return { stop: () => timer.cancel() };
}
