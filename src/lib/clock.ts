/**
 * Time, injected. Nothing outside this file reads the system's clock or sets a
 * timer, so that tests can run a manual clock.
 */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. For intervals and deadlines. */
  now(): number;
  /** Wall-clock milliseconds since 1970. For people and rows only; it may jump. */
  wallNow(): number;
  /**
   * Calls `fn` once, after `delayMs` (clamped to 0 … 24 days, the most that a
   * Node timer can hold). The timer does not keep the process alive, unless
   * `holdsProcess` says so.
   */
  setTimer(delayMs: number, fn: () => void, options?: { readonly holdsProcess?: boolean }): Timer;
}

export interface Timer {
  /** Cancels; a no-op after the timer has fired or was cancelled. */
  cancel(): void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(delayMs, fn, options) {
    const handle = setTimeout(fn, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
    if (!options?.holdsProcess) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Resolves after `delayMs`, or rejects with the signal's reason when it aborts.
 * Leaves neither a timer nor a listener behind.
 */
export function sleep(
  clock: Clock,
  delayMs: number,
  signal?: AbortSignal,
  options?: { readonly holdsProcess?: boolean },
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(
      delayMs,
      () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      },
      options,
    );
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Keeps the process alive until `release` is called: for waits whose own timers and sockets do not. */
export function holdProcess(clock: Clock): { release(): void } {
  const timer = clock.setTimer(MAX_TIMER_MS, () => {}, { holdsProcess: true });
  return { release: () => timer.cancel() };
}

/** Calls `fn` every `intervalMs`, the next time counted from the end of the last call. */
export function repeat(clock: Clock, intervalMs: number, fn: () => void): Timer {
  let timer = clock.setTimer(intervalMs, tick);
  let cancelled = false;
  function tick() {
    fn();
    if (!cancelled) timer = clock.setTimer(intervalMs, tick);
  }
  return {
    cancel() {
      cancelled = true;
      timer.cancel();
    },
  };
}
