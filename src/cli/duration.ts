import { InvalidArgumentError } from "commander";

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
/** A hundred years: more is a slip of the finger. */
const MAX_MS = 36_500 * 86_400_000;

const EXAMPLES = "30d, 12h, 90m, 45s or 500ms";

/** Milliseconds of a text such as `30d`, `12h`, `90m`, `45s` or `500ms`. */
export function parseDuration(text: string): number {
  return read(text, `Give a duration such as ${EXAMPLES}.`);
}

/** As `parseDuration`; `never` is Infinity. */
export function parseDurationOrNever(text: string): number {
  if (text.trim() === "never") return Number.POSITIVE_INFINITY;
  return read(text, `Give a duration such as ${EXAMPLES}, or never.`);
}

/** Wall-clock ms of an instant such as `2030-01-31`, which begins in UTC, or `2030-01-31T18:00:00Z`. */
export function parseInstant(text: string): number {
  const at = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/.test(text.trim())
    ? Date.parse(text.trim())
    : Number.NaN;
  if (Number.isNaN(at))
    throw new InvalidArgumentError("Give a time such as 2030-01-31 or 2030-01-31T18:00:00Z.");
  return at;
}

function read(text: string, advice: string): number {
  const [, count, unit = ""] = /^(\d{1,12})([a-z]+)$/.exec(text.trim()) ?? [];
  const ms = Number(count) * (UNITS_MS[unit] ?? Number.NaN);
  if (!(ms > 0 && ms <= MAX_MS)) throw new InvalidArgumentError(advice);
  return ms;
}
