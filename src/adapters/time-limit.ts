import type { Clock } from "../lib/clock.js";
import { ProbeError } from "./adapter.js";

export interface TimeLimit {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** What it means that the time is over, as in `it did not answer`. */
  readonly meaning: string;
}

/**
 * Does `work`, whose signal aborts when `signal` does and when the time is over.
 * Leaves neither a timer nor a listener behind.
 *
 * @throws ProbeError `unreachable` if the time is over; the signal's reason when
 *   it aborts; what `work` throws before.
 */
export async function withTimeLimit<T>(
  { clock, timeoutMs, meaning }: TimeLimit,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const ending = new AbortController();
  const end = () => ending.abort();
  const timer = clock.setTimer(timeoutMs, end);
  signal.addEventListener("abort", end, { once: true });
  try {
    return await work(ending.signal);
  } catch (error) {
    signal.throwIfAborted();
    if (ending.signal.aborted)
      throw new ProbeError("unreachable", `${meaning} within ${timeoutMs / 1_000} s`);
    throw error;
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", end);
  }
}
