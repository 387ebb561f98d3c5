import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { rememberSockets } from "../../src/wire/http2-socket.js";
import { takeTurns } from "../../src/wire/http2-turns.js";
import { eventually } from "../support/eventually.js";
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  helloFrames,
  uint32,
} from "./raw-frames.js";
import { rawSocket } from "./raw-socket.js";

const CALLS = 8_000;

it("a peer that begins thousands of calls at once begins no more in a turn than came in one read, and all of them in the end", async () => {
  const http2 = createServer();
  rememberSockets(http2);
  takeTurns(http2, 10);
  let begun = 0;
  let begunInTurn = 0;
  let mostInTurn = 0;
  http2.on("sessionError", () => {});
  http2.on("stream", (stream) => {
    stream.on("error", () => {});
    begun += 1;
    begunInTurn += 1;
    if (begunInTurn === 1)
      setImmediate(() => {
        mostInTurn = Math.max(mostInTurn, begunInTurn);
        begunInTurn = 0;
      });
    stream.close();
  });
  http2.listen(0, "127.0.0.1");
  onTestFinished(() => void http2.close());
  await new Promise((resolve) => http2.once("listening", resolve));

  const { socket } = await rawSocket((http2.address() as AddressInfo).port);
  const call = callHeaders("/toy.Toy/Ask", { "x-long": "x".repeat(200) });
  const frames = [helloFrames(), frame(FRAME.settings, 1, 0)];
  for (let n = 0; n < CALLS; n++)
    frames.push(frame(FRAME.headers, END_HEADERS | END_STREAM, 2 * n + 1, call));
  frames.push(frame(FRAME.windowUpdate, 0, 0, Buffer.from(uint32(1))));
  socket.write(Buffer.concat(frames));
  await eventually(() => expect(begun).toBe(CALLS));
  // 64 KiB are one read.
  expect(mostInTurn).toBeLessThan(65_536 / call.length + 1);
});
