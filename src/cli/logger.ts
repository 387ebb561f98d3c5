import { createRequire } from "node:module";
import { destination, pino, stdTimeFunctions } from "pino";
import type { build } from "pino-pretty";
import type { Log } from "../lib/log.js";
import type { LogLevel } from "./options.js";
import { hasColours } from "./output.js";

/**
 * The log of a running program, on stdout: JSON lines, or lines for people if
 * it is a terminal. Written at once: pino's buffer would keep the process from
 * ending for ever if the reader of a pipe is gone.
 */
export function createLogger(level: LogLevel): Log {
  const options = { level, base: null, timestamp: stdTimeFunctions.isoTime };
  if (!process.stdout.isTTY) return pino(options, destination({ fd: 1, sync: true }));
  // Most programs run without a terminal, and should not pay for one at their start.
  const require = createRequire(import.meta.url);
  const pretty = require("pino-pretty") as { readonly build: typeof build };
  return pino(
    options,
    pretty.build({ colorize: hasColours(), sync: true, translateTime: "SYS:HH:MM:ss" }),
  );
}
