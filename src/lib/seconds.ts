/** A duration for people: `1.5 s`, from 10 s on in whole seconds. */
export function inSeconds(ms: number): string {
  return `${ms < 10_000 ? (ms / 1_000).toFixed(1) : Math.round(ms / 1_000)} s`;
}
