export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = sort(values);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const lower = sorted.length % 2 === 1 ? upper : (sorted[middle - 1] ?? Number.NaN);
  return {
    median: (lower + upper) / 2,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

/** The smallest value that at least this part of them does not exceed. */
export function quantileOf(values: readonly number[], part: number): number {
  return sort(values)[Math.max(0, Math.ceil(values.length * part) - 1)] ?? Number.NaN;
}

export function quantilesOf(values: readonly number[]): Quantiles {
  return { p50: quantileOf(values, 0.5), p99: quantileOf(values, 0.99) };
}

/** Of each round by itself: what slows the machine for a while slows both. */
export function pairedRatios(values: readonly number[], references: readonly number[]): Spread {
  return spreadOf(values.map((value, round) => value / (references[round] ?? Number.NaN)));
}

function sort(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}
