import { FRAME_HEADER_LENGTH } from "./frames.js";

export type OnFrame = (type: number, flags: number, streamId: number, payload: Buffer) => void;

/** Cuts what arrives into frames. A payload is valid only while `onFrame` runs. */
export class FrameReader {
  #rest: Buffer | undefined;

  constructor(readonly onFrame: OnFrame) {}

  read(chunk: Buffer): void {
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_LENGTH) {
      const length = bytes.readUIntBE(at, 3);
      const start = at + FRAME_HEADER_LENGTH;
      if (bytes.length < start + length) break;
      const streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
      this.onFrame(
        bytes[at + 3] ?? 0,
        bytes[at + 4] ?? 0,
        streamId,
        bytes.subarray(start, start + length),
      );
      at = start + length;
    }
    // A copy, since the chunk's memory is used again for the next read.
    this.#rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined;
  }
}
