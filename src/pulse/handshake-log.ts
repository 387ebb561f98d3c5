import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { HandshakeFailure } from "../wire/server.js";

/** Whoever can reach the port can fail: the log must not grow by it. */
const QUIET_MS = 60_000;

/**
 * Logs a handshake that failed, at most one a minute, with how many were left out since
 * the line before.
 */
export function handshakeLog(log: Log, clock: Clock): (failure: HandshakeFailure) => void {
  let quietUntil = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return ({ address, code }) => {
    const now = clock.now();
    if (now < quietUntil) {
      leftOut += 1;
      return;
    }
    // Checks of a balancer close without a word, too.
    const level = code === "CLOSED" ? "info" : "warn";
    log[level]({ address, code, leftOut }, "pulse.handshake_failed");
    quietUntil = now + QUIET_MS;
    leftOut = 0;
  };
}
