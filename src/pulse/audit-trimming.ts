import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Store, StoreUnavailableError } from "../store/store.js";

const INTERVAL_MS = 3_600_000;

export interface AuditTrimmingOptions {
  readonly store: Pick<Store, "trimAudit">;
  /** How long entries are kept, in wall-clock ms; Infinity: for ever. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Deletes old entries of the audit log, now and every hour. Several nodes may do so at a time. */
export function startAuditTrimming(options: AuditTrimmingOptions): { stop(): Promise<void> } {
  const { store, maxAgeMs, clock, log } = options;
  let running: Promise<void> | undefined;

  async function trim(): Promise<void> {
    try {
      await store.trimAudit(clock.wallNow() - maxAgeMs);
    } catch (error) {
      // The next one takes along what stayed.
      if (!(error instanceof StoreUnavailableError))
        log.error({ err: error }, "audit.trimming_failed");
    }
  }

  function start(): void {
    running ??= trim().finally(() => {
      running = undefined;
    });
  }

  if (maxAgeMs === Number.POSITIVE_INFINITY) return { stop: () => Promise.resolve() };
  start();
  const timer = repeat(clock, INTERVAL_MS, start);
  return {
    stop() {
      timer.cancel();
      return running ?? Promise.resolve();
    },
  };
}
