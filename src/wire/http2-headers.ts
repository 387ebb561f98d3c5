import { constants, type Http2Server, type Http2Session, type ServerHttp2Stream } from "node:http2";
import { gateStreams, refuseStream } from "./http2-gate.js";
import { socketOf } from "./http2-socket.js";

/** What each header counts beside its name and value (RFC 9113, 6.5.2). */
const PAIR_BYTES = 32;
/** An honest peer may go past the bound before it has heard of it, but not so far, and not so often. */
const GROSS = 2;
const MAX_REFUSED = 10;

/**
 * Holds peers to the bound on headers that never acknowledge our SETTINGS: until they do,
 * Node takes 16 MB of each stream. One call past it is answered RESOURCE_EXHAUSTED; who
 * goes far past it, or often, loses the connection. `rememberSockets` comes first.
 */
export function boundHeaders(http2: Http2Server, maxBytes: number): void {
  const refused = new WeakMap<Http2Session, number>();
  gateStreams(http2, (letThrough) => (stream, headers, flags, raw) => {
    const bytes = headerBytes(raw);
    if (bytes <= maxBytes) return letThrough(stream, headers, flags, raw);
    makeGarbageKnown(bytes);
    const { session } = stream;
    const count = session ? (refused.get(session) ?? 0) + 1 : 0;
    if (session) refused.set(session, count);
    if (bytes > GROSS * maxBytes || count > MAX_REFUSED) cutOff(stream);
    else if (!stream.destroyed)
      refuseStream(
        stream,
        constants.NGHTTP2_NO_ERROR,
        `the headers of a call may have ${maxBytes} bytes`,
      );
  });
}

/** Ends a stream with its connection, whatever that has sent besides. */
export function cutOff(stream: ServerHttp2Stream): void {
  stream.on("error", () => {});
  const { session } = stream;
  if (!session) return;
  session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  socketOf(session).destroy();
}

/** Names and values, as a bound on them counts. @param raw what Node tells of a stream */
export function headerBytes(raw: unknown): number {
  const texts = raw as readonly string[];
  let bytes = (texts.length / 2) * PAIR_BYTES;
  for (const text of texts) bytes += text.length;
  return bytes;
}

/**
 * Values of headers lie outside of V8's heap, and it does not know how large they are: it
 * would not collect them until something else fills its heap. Of this it knows.
 */
export function makeGarbageKnown(bytes: number): void {
  Buffer.allocUnsafeSlow(bytes);
}
