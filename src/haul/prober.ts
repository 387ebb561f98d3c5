import type { Probe } from "../adapters/adapter.js";
import { createBackoff } from "../lib/backoff.js";
import { type Clock, sleep } from "../lib/clock.js";
import type { Random } from "../lib/random.js";

/** Between two answers, plus jitter, so that many Hauls do not ask one host at once. */
const INTERVAL_MS = 10_000;
const INTERVAL_JITTER_MS = 2_000;
const RETRY = { baseMs: 1_000, factor: 2, capMs: 15_000 };

export interface ProberOptions {
  readonly probe: (signal: AbortSignal) => Promise<Probe>;
  /** Called after each probe; `nextInMs` is undefined after the last. */
  readonly onProbe: (probe: Probe, nextInMs: number | undefined) => void;
  /** How long to leave it before the first probe; 0. */
  readonly firstInMs?: number;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Prober {
  /** Resolves when no probe is under way any more. */
  stop(): Promise<void>;
}

/**
 * Asks a download client again and again: every 10 to 12 s while it answers, with
 * backoff while it does not, and never twice at once. A refusal of the credentials
 * ends it for good: more of them could get the address banned.
 */
export function startProber(options: ProberOptions): Prober {
  const { probe, onProbe, firstInMs = 0, clock, random } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let backoff = createBackoff(RETRY);

  function nextInMs({ outcome }: Probe): number | undefined {
    if (outcome === "authentication-failed") return undefined;
    if (outcome === "ok") {
      backoff = createBackoff(RETRY);
      return INTERVAL_MS + random.next() * INTERVAL_JITTER_MS;
    }
    const delayMs = backoff.delayMs(random.next());
    backoff = backoff.next();
    return delayMs;
  }

  async function run(): Promise<void> {
    if (firstInMs > 0) await sleep(clock, firstInMs, signal);
    for (;;) {
      const answer = await probe(signal);
      const delayMs = nextInMs(answer);
      onProbe(answer, delayMs);
      if (delayMs === undefined) return;
      await sleep(clock, delayMs, signal);
    }
  }
  const over = run().catch((error) => {
    if (!signal.aborted) throw error;
  });
  return {
    stop() {
      stopping.abort();
      return over;
    },
  };
}
