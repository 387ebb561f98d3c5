/**
 * Exponential backoff with full jitter, as an immutable value.
 *
 * The wait before attempt n + 1 is uniform in [0, min(cap, base · factor^(n-1))):
 * the jitter that does the least work for a crowd of clients (AWS Architecture
 * Blog, "Exponential Backoff And Jitter").
 */
export interface BackoffPolicy {
  /** Upper bound of the first wait, in ms. */
  readonly baseMs: number;
  /** Growth of that bound with each failure. */
  readonly factor: number;
  /** Bound that is never passed, in ms. */
  readonly capMs: number;
}

export interface Backoff {
  /** Failures so far. */
  readonly failures: number;
  /** Upper bound of the next wait, in ms. */
  readonly ceilingMs: number;
  /** The wait for one more failure, given a uniform random in [0, 1). */
  delayMs(random: number): number;
  /** The backoff after one more failure. */
  next(): Backoff;
}

export function createBackoff(policy: BackoffPolicy, failures = 0): Backoff {
  const ceilingMs = Math.min(policy.capMs, policy.baseMs * policy.factor ** failures);
  return {
    failures,
    ceilingMs,
    delayMs: (random) => random * ceilingMs,
    next: () => createBackoff(policy, failures + 1),
  };
}
