import type { Http2Server, Http2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../lib/clock.js";
import { socketOf } from "./http2-socket.js";
import type { WireLimits } from "./limits.js";
import { createSilenceWatch } from "./read-silence.js";

/** Node tells nowhere else how much of what was written still waits for room in the network. */
interface QueuedSocket extends Socket {
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/**
 * Closes connections whose peer is gone without a word, and its calls with them. TCP
 * alone would keep them for a quarter of an hour while something waits to be
 * acknowledged, for then its own keepalive rests.
 *
 * `rememberSockets` comes first. A session that closes is left alone: Node sends no
 * PING after GOAWAY, so that a call which takes its time would look like silence.
 */
export function guardAgainstSilence(
  http2: Http2Server,
  limits: Pick<WireLimits, "pingAfterMs" | "pingTimeoutMs">,
  clock: Clock,
): void {
  const watch = createSilenceWatch<Http2Session>({
    clock,
    pingAfterMs: limits.pingAfterMs,
    pingTimeoutMs: limits.pingTimeoutMs,
    isOver: (session) => session.closed || session.destroyed,
    readBytes: (session) => socketOf(session).bytesRead,
    takenBytes: (session) => takenBytes(socketOf(session)),
    ping: (session) => session.ping(ignore),
    // Not the session: it would wait until its last write is done.
    onSilence: (session) => socketOf(session).destroy(),
  });
  http2.on("session", (session) => watch.add(session));
}

function takenBytes(socket: QueuedSocket): number | undefined {
  const waitingBytes = socket._handle?.writeQueueSize ?? 0;
  return waitingBytes > 0 ? socket.bytesWritten - waitingBytes : undefined;
}

/** That bytes have come is the answer, whatever they say. */
function ignore(): void {}
