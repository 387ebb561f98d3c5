const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
/** A hundred years: more is a slip of the finger. */
const MAX_MS = 36_500 * 86_400_000;

/** How a duration is written: the whole text. */
export const DURATION_PATTERN = /^(\d{1,12})(ms|s|m|h|d)$/;

/** Milliseconds of a text such as `30d`, `12h`, `90m`, `45s` or `500ms`; undefined if it is none, 0 or too long. */
export function durationMs(text: string): number | undefined {
  const [, count, unit = ""] = DURATION_PATTERN.exec(text) ?? [];
  const ms = Number(count) * (UNITS_MS[unit] ?? Number.NaN);
  return ms > 0 && ms <= MAX_MS ? ms : undefined;
}
