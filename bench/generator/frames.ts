/** HTTP/2 frames (RFC 9113) and gRPC message frames, as far as a client needs them. */

export const FRAME_HEADER_LENGTH = 9;
export const GRPC_HEADER_LENGTH = 5;

export const FrameType = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export function encodeFrame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array,
): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_LENGTH + payload.length);
  frame.writeUIntBE(payload.length, 0, 3);
  frame[3] = type;
  frame[4] = flags;
  frame.writeUInt32BE(streamId, 5);
  frame.set(payload, FRAME_HEADER_LENGTH);
  return frame;
}

/** A message as gRPC frames it: not compressed, its length, its bytes. */
export function encodeGrpcMessage(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(GRPC_HEADER_LENGTH + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, GRPC_HEADER_LENGTH);
  return framed;
}

const MAX_WINDOW = 0x7fff_ffff;
const DEFAULT_WINDOW = 0xffff;
const SETTING_ENABLE_PUSH = 2;
const SETTING_INITIAL_WINDOW_SIZE = 4;

/**
 * What a client says first. Its windows are as large as they can be, so that it
 * never has to hand credit back: the generator's core is for load.
 */
export const CLIENT_PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  encodeFrame(
    FrameType.settings,
    0,
    0,
    Buffer.concat([
      encodeSetting(SETTING_ENABLE_PUSH, 0),
      encodeSetting(SETTING_INITIAL_WINDOW_SIZE, MAX_WINDOW),
    ]),
  ),
  encodeFrame(FrameType.windowUpdate, 0, 0, encodeUint32(MAX_WINDOW - DEFAULT_WINDOW)),
]);

export const SETTINGS_ACK = encodeFrame(FrameType.settings, Flag.ack, 0, Buffer.alloc(0));

function encodeSetting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([0, id]), encodeUint32(value)]);
}

function encodeUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
