import { expect, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { GrpcToyClient } from "./grpc-client.js";
import {
  callHeaders,
  END_HEADERS,
  FRAME,
  frame,
  frameTypes,
  helloFrames,
  text,
} from "./raw-frames.js";
import { type RawSocket, rawSocket } from "./raw-socket.js";
import { startToy } from "./toy.js";

// The peers here never acknowledge our SETTINGS: of what these say Node holds them to nothing.

const MAX_FRAME = 16_384;

/** A call with a header of so many bytes, and no message. */
function callWith(bytes: number, stream: number): Buffer {
  const parts: Buffer[] = [];
  for (let left = bytes; left > 0; left -= 4_000)
    parts.push(Buffer.from([0]), text(`x-${left}`), text("v".repeat(Math.min(left, 4_000))));
  const block = Buffer.concat([callHeaders("/toy.Toy/Ask"), ...parts]);
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += MAX_FRAME) {
    const isLast = at + MAX_FRAME >= block.length;
    const type = at === 0 ? FRAME.headers : FRAME.continuation;
    const part = block.subarray(at, at + MAX_FRAME);
    frames.push(frame(type, isLast ? END_HEADERS : 0, stream, part));
  }
  return Buffer.concat(frames);
}

async function peerOf(port: number): Promise<RawSocket> {
  const peer = await rawSocket(port);
  peer.socket.write(helloFrames());
  return peer;
}

const typesOf = (peer: RawSocket) => frameTypes(Buffer.from(peer.text, "latin1"));

/** An honest call to the same server. */
async function expectWell(port: number): Promise<void> {
  expect(await new GrpcToyClient(port).call("Ask")).toMatchObject({ code: "OK" });
}

it("headers past the bound, from a peer that has not heard of it, are refused, and the connection goes on", async () => {
  const { port, errors } = await startToy({}, { maxHeaderBytes: 8_000 });
  const peer = await peerOf(port);
  peer.socket.write(callWith(10_000, 1));
  await eventually(() => expect(typesOf(peer)).toContain(FRAME.headers));
  expect(peer.socket.destroyed).toBe(false);
  await expectWell(port);
  expect(errors).toEqual([]);
});

it("headers far past the bound, or past it again and again, end the connection", async () => {
  const { port } = await startToy({}, { maxHeaderBytes: 8_000 });
  const gross = await peerOf(port);
  gross.socket.write(callWith(80_000, 1));
  await gross.closed;
  const stubborn = await peerOf(port);
  for (let n = 0; n < 20; n++) stubborn.socket.write(callWith(10_000, 2 * n + 1));
  await stubborn.closed;
  await expectWell(port);
});

it("large headers of calls that are never asked count as what is held, and past its bound end the connection", async () => {
  const { port } = await startToy({}, { maxHeldBytesPerAddress: 20_000 });
  const peer = await peerOf(port);
  for (let n = 0; n < 4; n++) peer.socket.write(callWith(6_000, 2 * n + 1));
  await peer.closed;
  await expectWell(port);
});
