/** Frames of HTTP/2, for a peer that does with them what no library would. */

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;
/** Windows wider than what the system buffers. */
const WIDE = uint32(2 ** 30);

/** The begin of a connection on which nothing is asked. */
export function helloFrames(): Buffer {
  return Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0)]);
}

/** The begin of one that gives the server windows so wide that it can fill the network. */
export function wideHelloFrames(): Buffer {
  return Buffer.concat([
    PREFACE,
    frame(FRAME.settings, 0, 0, Buffer.from([0, 4, ...WIDE])), // the window of each stream
    frame(FRAME.windowUpdate, 0, 0, Buffer.from(WIDE)),
  ]);
}

/** A call of Watch that gives the server windows so wide that it can fill the network. */
export function watchFrames(): Buffer {
  return Buffer.concat([
    wideHelloFrames(),
    frame(FRAME.headers, END_HEADERS, 1, callHeaders("/toy.Toy/Watch")),
    frame(FRAME.data, END_STREAM, 1, Buffer.alloc(5)), // an empty message
  ]);
}

/** The headers of a gRPC call, none of them indexed. */
export function callHeaders(path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return Buffer.concat([
    Buffer.from([0x83, 0x86, 0x01]), // POST, http, and :authority
    text("x"),
    Buffer.from([0x04]), // :path
    text(path),
    Buffer.from([0x0f, 0x10]), // content-type
    text("application/grpc"),
    ...Object.entries(more).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]),
  ]);
}

/** The types of the frames in `bytes`, in their order. */
export function frameTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    types.push(bytes.readUInt8(at + 3));
  return types;
}

/** One frame; a payload of more than 16 KiB is more than a peer takes by default. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const bytes = Buffer.allocUnsafe(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(stream, 5);
  payload.copy(bytes, 9);
  return bytes;
}

/** A string of HPACK, without Huffman's code. */
export function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
