import { constants, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { Clock } from "../lib/clock.js";
import { socketOf } from "./http2-socket.js";

/** How long a peer that is cut off has to take the reason. */
const LINGER_MS = 1_000;

/**
 * Cuts off peers that reset more calls in progress than `burst` at once and then
 * `perSecond`: each costs them nothing, and us a call ("rapid reset", CVE-2023-44487).
 * nghttp2 would do so past 1,000 and 33, but then Node neither reads from the connection
 * any more nor closes it, so both must be less than that. `rememberSockets` comes first.
 */
export function guardAgainstResets(
  http2: Http2Server,
  burst: number,
  perSecond: number,
  clock: Clock,
): void {
  http2.prependListener("session", (session) => {
    let left = burst;
    let at = clock.now();
    function count(): void {
      const now = clock.now();
      left = Math.min(burst, left + ((now - at) * perSecond) / 1_000) - 1;
      at = now;
      if (left >= 0 || session.destroyed) return;
      session.destroy(new Error("too many resets"), constants.NGHTTP2_ENHANCE_YOUR_CALM);
      // A peer that floods may read nothing: Node would wait for its last write for ever.
      clock.setTimer(LINGER_MS, () => socketOf(session).destroy());
    }
    session.on("stream", (stream: ServerHttp2Stream) => {
      // One that came together with the headers was told before anybody could listen.
      if (stream.aborted) count();
      else stream.on("aborted", count);
    });
  });
}
