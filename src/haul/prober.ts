import type { Probe } from "../adapters/adapter.js";
import { type Backoff, createBackoff } from "../lib/backoff.js";
import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";

/** Between two answers at most; less the jitter, so that many Hauls do not ask one host at once. */
export const PROBE_INTERVAL_MS = 10_000;
const INTERVAL_JITTER_MS = 2_000;
const RETRY = { baseMs: 1_000, factor: 2, capMs: PROBE_INTERVAL_MS };

export interface ProberOptions {
  readonly probe: (signal: AbortSignal) => Promise<Probe>;
  /** Called after each probe; `nextInMs` is undefined if there is none before `askNow`. */
  readonly onProbe: (probe: Probe, nextInMs: number | undefined) => void;
  /** How long to leave it before the first probe; 0. */
  readonly firstInMs?: number;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Prober {
  /** Asks at once, or once more after the probe that is under way; also after a refusal. */
  askNow(): void;
  /** Resolves when no probe is under way any more. */
  stop(): Promise<void>;
}

/**
 * Asks a download client again and again: every 8 to 10 s while it answers, with
 * backoff while it does not, and never twice at once. After a refusal of the
 * credentials it waits until it is told to ask: more of them could get the address
 * banned.
 */
export function startProber(options: ProberOptions): Prober {
  const { probe, onProbe, firstInMs = 0, clock, random } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let backoff: Backoff = createBackoff(RETRY);
  let isAsked = false;
  let wake = () => {};

  function nextInMs({ outcome }: Probe): number | undefined {
    if (outcome === "authentication-failed") return undefined;
    if (outcome === "ok") {
      backoff = createBackoff(RETRY);
      return PROBE_INTERVAL_MS - random.next() * INTERVAL_JITTER_MS;
    }
    const delayMs = backoff.delayMs(random.next());
    backoff = backoff.next();
    return delayMs;
  }

  /** @param delayMs undefined: until it is asked for */
  async function pause(delayMs: number | undefined): Promise<void> {
    if (!isAsked && !signal.aborted)
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (delayMs === undefined) return;
        const timer = clock.setTimer(delayMs, resolve);
        wake = () => {
          timer.cancel();
          resolve();
        };
      });
    wake = () => {};
    signal.throwIfAborted();
    if (isAsked) backoff = createBackoff(RETRY);
    isAsked = false;
  }

  async function run(): Promise<void> {
    if (firstInMs > 0) await pause(firstInMs);
    for (;;) {
      const answer = await probe(signal);
      const delayMs = nextInMs(answer);
      onProbe(answer, delayMs);
      await pause(delayMs);
    }
  }
  const over = run().catch((error) => {
    if (!signal.aborted) throw error;
  });
  return {
    askNow() {
      isAsked = true;
      wake();
    },
    stop() {
      stopping.abort();
      wake();
      return over;
    },
  };
}
