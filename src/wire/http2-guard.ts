import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import type { Clock } from "../lib/clock.js";
import type { CallBounds } from "./call-bounds.js";
import { capTimeout, parseTimeout } from "./grpc-timeout.js";
import { boundCalls } from "./http2-calls.js";
import { boundHeaders } from "./http2-headers.js";
import { guardAgainstPings } from "./http2-pings.js";
import { guardAgainstResets } from "./http2-resets.js";
import { guardAgainstSilence } from "./http2-silence.js";
import { rememberSockets } from "./http2-socket.js";
import { guardAgainstStalls } from "./http2-stall.js";
import { takeTurns } from "./http2-turns.js";
import type { WireLimits } from "./limits.js";

const MAX_CALLS_IN_A_TURN = 50;

/**
 * Holds the bounds that grpc-js has no options for, or none that work, on the HTTP/2
 * server below it: header size, PINGs, resets, peers that do not read, peers that are
 * gone, and the timeout of a call, which grpc-js computes in 32 bits.
 */
export function guardHttp2(
  server: Server,
  limits: WireLimits,
  bounds: CallBounds,
  clock: Clock,
): void {
  const http2 = http2ServerOf(server);
  http2.updateSettings({ maxHeaderListSize: limits.maxHeaderBytes });
  rememberSockets(http2);
  takeTurns(http2, MAX_CALLS_IN_A_TURN);
  guardAgainstPings(http2, limits.maxPingsPer10s, clock);
  guardAgainstResets(http2, limits.maxResets, limits.maxResetsPerSecond, clock);
  guardAgainstSilence(http2, limits, clock);
  guardAgainstStalls(http2, limits.writeStallMs, clock);
  // Before grpc-js reads them: each listener gets the same headers.
  http2.prependListener("stream", (stream, headers: IncomingHttpHeaders) => {
    // A reset without an error code waits until all that had come is read. While a
    // handler does not read, its call would live on: a peer could pile up any number.
    stream.on("aborted", destroyStream);
    const timeout = headers["grpc-timeout"];
    if (timeout === undefined) return;
    // What we cannot read must not be read by a pattern of grpc-js that takes more.
    const isReadable = parseTimeout(String(timeout)) !== undefined;
    headers["grpc-timeout"] = isReadable
      ? capTimeout(String(timeout), limits.maxTimeoutMs)
      : "malformed";
  });
  boundCalls(http2, bounds);
  boundHeaders(http2, limits.maxHeaderBytes); // in front of all of them
}

/** One function for all streams: there are thousands, and a closure for each is memory. */
function destroyStream(this: ServerHttp2Stream): void {
  this.destroy();
}

/** The only private part of grpc-js that we touch. Its version is pinned, and every test stands on this. */
function http2ServerOf(server: Server): Http2Server {
  const { http2Servers } = server as unknown as { http2Servers?: Map<Http2Server, unknown> };
  const [http2] = http2Servers?.keys() ?? [];
  if (!http2)
    throw new Error("this version of grpc-js hides its HTTP/2 server: see http2-guard.ts");
  return http2;
}
