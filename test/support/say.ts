import { monotonicNow } from "./members.js";

/**
 * Tells the test that started this process something, as a log line with the time of the
 * host's monotonic clock, which all its processes share.
 */
export function say(line: object): void {
  process.stdout.write(`${JSON.stringify({ at: monotonicNow(), ...line })}\n`);
}
