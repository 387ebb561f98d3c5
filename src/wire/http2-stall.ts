import { constants, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";
import type { Clock } from "../lib/clock.js";
import { socketOf } from "./http2-socket.js";
import { createStallWatch } from "./write-stall.js";

const WRITTEN_BYTES = Symbol("writtenBytes");

/** A stream that knows how much was ever written to it: Node tells only what waits. */
interface CountedStream extends ServerHttp2Stream {
  [WRITTEN_BYTES]: number;
}

/**
 * Resets each stream whose peer takes nothing of what waits for it, and leaves the
 * others of its connection alone: the messages, the status behind them and the call
 * go. A connection that does not even take the reset is closed. `rememberSockets`
 * comes first.
 */
export function guardAgainstStalls(http2: Http2Server, stallMs: number, clock: Clock): void {
  const watch = createStallWatch<CountedStream>({
    clock,
    stallMs,
    writtenBytes: (stream) => stream[WRITTEN_BYTES],
    onStall(stream) {
      const socket = stream.session && socketOf(stream.session);
      const sentBytes = socket?.bytesWritten;
      stream.removeAllListeners("aborted"); // the guard's, which would reset it without our code
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      // The session could not be destroyed: Node waits until its last write is done.
      clock.setTimer(stallMs, () => {
        if (socket?.bytesWritten === sentBytes) socket?.destroy();
      });
    },
  });

  http2.prependListener("stream", (stream) => watch.add(countWrites(stream)));
}

function countWrites(stream: ServerHttp2Stream): CountedStream {
  return Object.assign(stream, { [WRITTEN_BYTES]: 0, write: writeCounted });
}

function writeCounted(
  this: CountedStream,
  chunk: Buffer,
  encoding: BufferEncoding,
  onDone?: (error?: Error | null) => void,
): boolean {
  this[WRITTEN_BYTES] += chunk.length;
  return Duplex.prototype.write.call(this, chunk, encoding, onDone);
}
