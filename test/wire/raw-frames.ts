/** Frames of HTTP/2, for a peer that does with them what no library would. */

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** Windows wider than what the system buffers. */
const WIDE = uint32(2 ** 30);

/** The begin of a connection on which nothing is asked. */
export function helloFrames(): Buffer {
  return Buffer.concat([PREFACE, frame(4, 0, 0, Buffer.alloc(0))]); // SETTINGS
}

/** A call of Watch that gives the server windows so wide that it can fill the network. */
export function watchFrames(): Buffer {
  const headers = [
    Buffer.from([0x83, 0x86, 0x01]), // POST, http, and :authority
    text("x"),
    Buffer.from([0x04]), // :path
    text("/toy.Toy/Watch"),
    Buffer.from([0x0f, 0x10]), // content-type
    text("application/grpc"),
  ];
  return Buffer.concat([
    PREFACE,
    frame(4, 0, 0, Buffer.from([0, 4, ...WIDE])), // SETTINGS: the window of each stream
    frame(8, 0, 0, Buffer.from(WIDE)), // WINDOW_UPDATE of the connection
    frame(1, 4, 1, Buffer.concat(headers)),
    frame(0, 1, 1, Buffer.alloc(5)), // DATA: an empty message, and the end
  ]);
}

/** The types of the frames in `bytes`, in their order. */
export function frameTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    types.push(bytes.readUInt8(at + 3));
  return types;
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream]);
  return Buffer.concat([head, payload]);
}

function text(value: string): Buffer {
  return Buffer.from([value.length, ...Buffer.from(value)]);
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
