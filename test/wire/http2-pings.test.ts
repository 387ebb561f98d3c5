import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import { guardAgainstPings } from "../../src/wire/http2-pings.js";
import { rememberSockets } from "../../src/wire/http2-socket.js";
import { eventually } from "../support/eventually.js";
import { watchFrames } from "./raw-frames.js";
import { rawSocket } from "./raw-socket.js";

it("a peer that floods and reads nothing loses its connection, though the reason cannot be sent", async () => {
  const http2 = createServer();
  rememberSockets(http2);
  guardAgainstPings(http2, 10, systemClock);
  let socket: Socket | undefined;
  let session: ServerHttp2Session | undefined;
  http2.on("connection", (accepted: Socket) => {
    socket = accepted;
  });
  http2.on("session", (opened) => {
    session = opened;
    opened.on("error", () => {});
  });
  http2.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond();
    stream.write(Buffer.alloc(64 * 1_024 * 1_024)); // more than the network holds
  });
  http2.listen(0, "127.0.0.1");
  onTestFinished(() => void http2.close());
  await new Promise((resolve) => http2.once("listening", resolve));

  const peer = await rawSocket((http2.address() as AddressInfo).port);
  peer.socket.pause();
  peer.socket.write(watchFrames());
  await eventually(() => expect(socket?.bytesWritten).toBeGreaterThan(1_000_000));
  // Node reads no more by now, so those that it had read must be played.
  for (let i = 0; i < 10; i++) session?.emit("ping", Buffer.alloc(8));
  expect(session?.destroyed).toBe(false);
  session?.emit("ping", Buffer.alloc(8));
  expect([session?.destroyed, socket?.destroyed]).toEqual([true, false]);
  await eventually(() => expect(socket?.closed).toBe(true), 3_000);
});
