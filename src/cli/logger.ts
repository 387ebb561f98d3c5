import { destination, pino, stdTimeFunctions } from "pino";
import { build as prettyStream } from "pino-pretty";
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
  return pino(
    options,
    prettyStream({ colorize: hasColours(), sync: true, translateTime: "SYS:HH:MM:ss" }),
  );
}
