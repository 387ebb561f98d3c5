import { Code, createClient } from "@connectrpc/connect";
import { describe, expect, it, onTestFinished } from "vitest";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { eventually } from "../support/eventually.js";
import { endless } from "./endless-watch.js";
import { rawCall, rawSession } from "./grpc-client.js";
import { watchFrames } from "./raw-frames.js";
import { type RawSocket, rawSocket } from "./raw-socket.js";
import { type Note, startToy, TOY, type ToyHandlers } from "./toy.js";

const STALL_MS = 400;
/** When a stall must have been found: a quarter later, and something for a busy machine. */
const FOUND_MS = 5_000;
const ENHANCE_YOUR_CALM = 11;
const KIB = 1_024;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a stream of HTTP/2 whose peer never reads", () => {
  it("takes two messages from its handler, is reset after a while, and nothing else of its connection is", async () => {
    const { seen, watch } = endless(64 * KIB);
    const { port, errors } = await startToy({ watch }, { writeStallMs: STALL_MS });
    const session = rawSession(port);
    const other = rawCall(port, "Chat", [], session);
    let answers = 0;
    other.on("data", () => {
      answers += 1;
    });
    const stream = rawCall(port, "Watch", [""], session);
    const startAt = performance.now();
    await new Promise((resolve) => stream.once("response", resolve));
    await sleep(STALL_MS / 2);
    // One is on its way, and one waits for it.
    expect(seen).toEqual({ made: 2, isReturned: false, isAborted: false });

    let asked = 0;
    while (!stream.closed && performance.now() - startAt < FOUND_MS) {
      other.write(Buffer.from([0, 0, 0, 0, 0]));
      asked += 1;
      await eventually(() => expect(answers).toBe(asked));
      await sleep(10);
    }
    expect(stream.rstCode).toBe(ENHANCE_YOUR_CALM);
    expect(performance.now() - startAt).toBeGreaterThan(STALL_MS);
    await eventually(() => expect(seen).toEqual({ made: 2, isReturned: true, isAborted: true }));
    await sleep(2 * STALL_MS);
    expect([other.closed, session.destroyed, errors]).toEqual([false, false, []]);
  });

  it("is RESOURCE_EXHAUSTED to a client that comes back to it", async () => {
    const { watch } = endless(64 * KIB);
    const { url } = await startToy({ watch }, { writeStallMs: STALL_MS });
    const transport = createGrpcTransport({ address: url });
    onTestFinished(() => transport.close());
    const client = createClient(TOY, transport) as unknown as {
      watch(note: object): AsyncIterable<Note>;
    };
    const notes = client.watch({})[Symbol.asyncIterator]();
    await notes.next();
    await sleep(4 * STALL_MS);
    const readAll = async () => {
      while (!(await notes.next()).done);
    };
    await expect(readAll()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  it.each<["Ask" | "Watch", string]>([
    ["Ask", "the one reply"],
    ["Watch", "the last message of a stream that has ended by itself"],
  ])("is reset though its status waits behind the data: %s, %s", async (name) => {
    const note = { text: "x".repeat(200 * KIB) };
    const { port } = await startToy(
      {
        ask: () => note,
        async *watch() {
          yield note;
        },
      },
      { writeStallMs: STALL_MS },
    );
    const stream = rawCall(port, name);
    await eventually(() => expect(stream.rstCode).toBe(ENHANCE_YOUR_CALM), FOUND_MS);
  });

  it("is reset though its handler has not read all that came", async () => {
    const { seen, watch } = endless(64 * KIB);
    const chat: ToyHandlers["chat"] = (_, context) => watch({ text: "" }, context);
    const { port } = await startToy({ chat }, { writeStallMs: STALL_MS });
    const stream = rawCall(port, "Chat", Array(200).fill("x".repeat(200)));
    await eventually(() => expect(stream.rstCode).toBe(ENHANCE_YOUR_CALM), FOUND_MS);
    await eventually(() => expect(seen.isReturned).toBe(true), FOUND_MS);
  });

  it("lives on while it has nothing to send, and while its peer reads however little", async () => {
    const { seen, watch } = endless(64 * KIB);
    const { port } = await startToy({ watch }, { writeStallMs: STALL_MS });
    const session = rawSession(port);
    const idle = rawCall(port, "Chat", [], session);
    const slow = rawCall(port, "Watch", [""], session);
    const startAt = performance.now();
    while (performance.now() - startAt < 5 * STALL_MS) {
      await sleep(STALL_MS / 4);
      slow.read();
    }
    expect([idle.closed, slow.closed]).toEqual([false, false]);
    expect(seen.made).toBeGreaterThan(8);
    slow.close();
  });

  it("goes with its connection when not even the reset can be sent", async () => {
    const { seen, watch } = endless(1_000_000);
    const { port } = await startToy({ watch }, { writeStallMs: STALL_MS });
    const peer = await rawSocket(port);
    peer.socket.pause();
    peer.socket.write(watchFrames());
    await eventually(() => expect(seen.isReturned).toBe(true), FOUND_MS);
    await expectClosed(peer);
  });
});

describe("a connection of HTTP/1.1 whose peer never reads", () => {
  const body = Buffer.from([0, 0, 0, 0, 2, ...Buffer.from("{}")]);
  const request = Buffer.concat([
    Buffer.from(
      `POST /toy.Toy/Watch HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\ncontent-length: ${body.length}\r\n\r\n`,
    ),
    body,
  ]);

  it("is closed after a while, and its call with it", async () => {
    const { seen, watch } = endless(64 * KIB);
    const { port, errors } = await startToy({ watch }, { writeStallMs: STALL_MS });
    const peer = await rawSocket(port);
    peer.socket.pause();
    peer.socket.write(request);
    await eventually(
      () => expect(seen).toMatchObject({ isReturned: true, isAborted: true }),
      FOUND_MS,
    );
    await expectClosed(peer);
    expect(errors).toEqual([]);
  });

  it("lives on while it has nothing to send", async () => {
    const { port } = await startToy(
      {
        async *watch(_, { signal }) {
          yield { text: "first" };
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
        },
      },
      { writeStallMs: STALL_MS },
    );
    const peer = await rawSocket(port);
    peer.socket.write(request);
    await sleep(3 * STALL_MS);
    expect(peer.text).toContain("first");
    expect(peer.socket.closed).toBe(false);
  });
});

/** What still comes is read, and then the end: a paused socket does not see it. */
async function expectClosed(peer: RawSocket): Promise<void> {
  await sleep(2.5 * STALL_MS);
  peer.socket.resume();
  expect(await peer.closed).toBeLessThan(2 * FOUND_MS);
}
