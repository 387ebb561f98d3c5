import type { FileLooks } from "../../lib/file-watch.js";
import { StartError } from "../start-error.js";

/** Something that is wrong with a configuration file. */
export interface Problem {
  /** Where, both from 1; left out: with the file as a whole. */
  readonly place?: Place;
  /** Which value, as `clients[1].url`; empty: the place says it. */
  readonly field?: string;
  /** What is wrong and what to do. Never quotes a value. */
  readonly text: string;
}

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** So many are told; who mends these sees the rest. */
const MAX_TOLD = 50;

/** A configuration cannot be used. The message has a line for each thing that is wrong, in the order of the file. */
export class ConfigError extends StartError {
  readonly problems: readonly string[];

  constructor(
    path: string,
    problems: readonly Problem[],
    /** The files that were read, or that could not be, as they looked just before that. */
    readonly files: FileLooks,
  ) {
    const lines = [...new Set(problems.toSorted(byPlace).map((each) => problemLine(path, each)))];
    const told = lines.slice(0, MAX_TOLD);
    const more = lines.length - told.length;
    super([...told, ...(more > 0 ? [`${path}: and ${more} more like these`] : [])].join("\n"));
    this.problems = told;
  }
}

/** `haul.yaml:12:5: clients[1].url: is missing: …` */
export function problemLine(path: string, { place, field, text }: Problem): string {
  const where = place ? `${path}:${place.line}:${place.column}` : path;
  return [where, ...(field ? [field] : []), text].join(": ");
}

function byPlace({ place: a }: Problem, { place: b }: Problem): number {
  return (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0);
}
