import type { Log } from "../../src/lib/log.js";

export interface Line {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly msg: string;
  readonly fields: object;
}

/** A log that keeps its lines. */
export function recordingLog(): Log & { readonly lines: Line[] } {
  const lines: Line[] = [];
  const write = (level: Line["level"]) => (fields: object, msg: string) =>
    void lines.push({ level, msg, fields });
  return {
    lines,
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}
