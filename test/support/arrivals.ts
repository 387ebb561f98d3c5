/** How those who come back are spread over time. */
export interface Spread {
  /** From the first to the last, in ms. */
  readonly spanMs: number;
  /** The most that came within one second, wherever that begins. */
  readonly busiestSecond: number;
  /**
   * How many came a second, from the first to the last but for the last hundredth: a few
   * who are late make no crowd of the others. Counts as a second at least.
   */
  readonly meanPerSecond: number;
  /** The busiest second in means. */
  readonly peakOverMean: number;
}

/** @param at when each of them came, in ms of any clock and in any order; at least one */
export function spreadOf(at: readonly number[]): Spread {
  const sorted = [...at].sort((a, b) => a - b);
  const spanMs = (sorted.at(-1) ?? 0) - (sorted[0] ?? 0);
  const most = Math.ceil(sorted.length * 0.99);
  const mostMs = (sorted[most - 1] ?? 0) - (sorted[0] ?? 0);
  const meanPerSecond = most / Math.max(1, mostMs / 1_000);
  const busiestSecond = busiest(sorted);
  return {
    spanMs,
    busiestSecond,
    meanPerSecond,
    peakOverMean: busiestSecond / meanPerSecond,
  };
}

/** The most within a second; one that is the busiest ends with somebody. */
function busiest(sorted: readonly number[]): number {
  let most = 0;
  let from = 0;
  for (const [n, at] of sorted.entries()) {
    while (at - (sorted[from] ?? at) >= 1_000) from++;
    most = Math.max(most, n - from + 1);
  }
  return most;
}
