import { constants, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import type { BoundedCall, CallBounds } from "./call-bounds.js";
import { gateStreams, refuseStream } from "./http2-gate.js";
import { cutOff, headerBytes, makeGarbageKnown } from "./http2-headers.js";
import { socketOf } from "./http2-socket.js";

/** Before each message of gRPC: whether it is compressed, and its length. */
const HEAD_BYTES = 5;

const BOUNDED = Symbol("bounded");

/** A stream that knows which part of a message has come last. */
interface BoundedStream extends ServerHttp2Stream {
  [BOUNDED]: { readonly call: BoundedCall; readonly message: MessagePart };
}

/** What of a message has come. */
interface MessagePart {
  headBytes: number;
  /** What is still missing of its body, once its head is known. */
  missingBytes: number;
}

/**
 * Counts each call in `bounds`, and what of its messages has come while they are not
 * whole, its headers, if they are large, with the first of them. One call more than allowed is answered RESOURCE_EXHAUSTED before anybody else
 * sees it; one that must be dropped is reset with ENHANCE_YOUR_CALM, which gRPC reads
 * as the same. `rememberSockets` comes first.
 */
export function boundCalls(http2: Http2Server, bounds: CallBounds): void {
  gateStreams(http2, (letThrough) => (stream, headers, flags, raw) => {
    const address = stream.session ? (socketOf(stream.session).remoteAddress ?? "") : "";
    const call = bounds.begin(address, () => {
      stream.removeAllListeners("aborted"); // the guard's, which would reset it without our code
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
    if (!call) return refuseStream(stream, constants.NGHTTP2_NO_ERROR, TOO_MANY);
    Object.assign(stream, {
      [BOUNDED]: { call, message: { headBytes: 0, missingBytes: 0 } },
      push: pushCounted,
    });
    stream.on("close", endCall);
    stream.on("error", ignore); // it may be dropped before anybody else listens
    const bytes = headerBytes(raw);
    if (bytes > FEW_HEADER_BYTES) {
      makeGarbageKnown(bytes);
      call.hold(bytes);
      // Not the call alone: what else it has sent would be taken apart first.
      if (stream.closed) return cutOff(stream);
    }
    countEarly(stream as BoundedStream);
    if (!stream.closed) letThrough(stream, headers, flags, raw);
  });
}

/** What any call has: these are not counted. */
const FEW_HEADER_BYTES = 2_048;
const TOO_MANY = "too many calls at a time: make fewer, or try again later";

function ignore(): void {}

/** One function for all streams, as below: there are thousands, and a closure for each is memory. */
function endCall(this: ServerHttp2Stream): void {
  (this as BoundedStream)[BOUNDED].call.end();
}

/** What came together with the headers is there before anybody is told of the stream. */
function countEarly(stream: BoundedStream): void {
  const { call, message } = stream[BOUNDED];
  const early: Buffer | null = stream.readableLength > 0 ? stream.read() : null;
  if (early) {
    stream.unshift(early);
    count(call, message, early);
  }
  if (stream.endAfterHeaders || stream.closed) call.release();
}

/** What comes in is pushed, and nothing else sees it without reading it. */
function pushCounted(this: BoundedStream, chunk: Buffer | null, encoding?: BufferEncoding) {
  const { call, message } = this[BOUNDED];
  if (chunk === null) call.release();
  else count(call, message, chunk);
  return Duplex.prototype.push.call(this, chunk, encoding);
}

/** One message and no more, as a heartbeat comes. */
function isWhole(chunk: Buffer): boolean {
  return chunk.length >= HEAD_BYTES && chunk.readUInt32BE(1) === chunk.length - HEAD_BYTES;
}

function count(call: BoundedCall, message: MessagePart, chunk: Buffer): void {
  if (message.headBytes === 0 && isWhole(chunk)) {
    call.release();
    return;
  }
  let at = 0;
  let isEnd = false;
  while (at < chunk.length) {
    isEnd = false;
    if (message.headBytes < HEAD_BYTES) {
      const byte = chunk[at] ?? 0;
      if (message.headBytes > 0) message.missingBytes = message.missingBytes * 256 + byte;
      message.headBytes += 1;
      at += 1;
    } else {
      const taken = Math.min(message.missingBytes, chunk.length - at);
      message.missingBytes -= taken;
      at += taken;
    }
    if (message.headBytes === HEAD_BYTES && message.missingBytes === 0) {
      message.headBytes = 0;
      isEnd = true;
    }
  }
  // Whole messages are somebody else's; only the begin of the next one waits.
  if (isEnd) call.release();
  else call.hold(chunk.length);
}
