import { InvalidArgumentError } from "commander";
import { durationMs } from "../lib/duration.js";

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
  const ms = durationMs(text.trim());
  if (ms === undefined) throw new InvalidArgumentError(advice);
  return ms;
}
