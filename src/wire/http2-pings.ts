import { constants, type Http2Server } from "node:http2";
import type { Clock } from "../lib/clock.js";
import { socketOf } from "./http2-socket.js";

const WINDOW_MS = 10_000;
/** How long a peer that is cut off has to take the reason. */
const LINGER_MS = 1_000;

/**
 * Cuts off peers that send more PINGs than `maxPings` in 10 s. Node answers every one:
 * a peer could keep us busy without a single call. `rememberSockets` comes first.
 */
export function guardAgainstPings(http2: Http2Server, maxPings: number, clock: Clock): void {
  http2.on("session", (session) => {
    let windowEndAt = 0;
    let pings = 0;
    session.on("ping", () => {
      const now = clock.now();
      if (now >= windowEndAt) {
        windowEndAt = now + WINDOW_MS;
        pings = 0;
      }
      pings += 1;
      if (pings <= maxPings || session.destroyed) return;
      session.destroy(new Error("too many PINGs"), constants.NGHTTP2_ENHANCE_YOUR_CALM);
      // A peer that floods may read nothing: Node would wait for its last write for ever.
      clock.setTimer(LINGER_MS, () => socketOf(session).destroy());
    });
  });
}
