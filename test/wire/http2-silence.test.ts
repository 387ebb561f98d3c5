import type { ClientHttp2Session } from "node:http2";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { endless } from "./endless-watch.js";
import { GrpcToyClient, outcome, rawCall, rawSession } from "./grpc-client.js";
import { frameTypes, helloFrames, watchFrames } from "./raw-frames.js";
import { rawSocket } from "./raw-socket.js";
import { startToy, type ToyHandlers } from "./toy.js";

const PING = 6;
const LIMITS = { pingAfterMs: 300, pingTimeoutMs: 400 };
const LOOK_MS = LIMITS.pingTimeoutMs / 4;
const SILENT_MS = LIMITS.pingAfterMs + LIMITS.pingTimeoutMs;
/** When silence must have been found: a look later, and something for a busy machine. */
const FOUND_MS = SILENT_MS + LOOK_MS + 2_000;
/** In which a peer that is taken for silent would be gone. */
const LONG_MS = 2 * SILENT_MS;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends a small message every 50 ms, as a watch sends bookmarks, and tells when it ended. */
function bookmarks() {
  const seen = { sent: 0, endedAt: Number.NaN };
  const watch: ToyHandlers["watch"] = async function* (_, { signal }) {
    try {
      while (!signal.aborted) {
        yield { text: "up to here" };
        seen.sent += 1;
        await sleep(50);
      }
    } finally {
      seen.endedAt = performance.now();
    }
  };
  return { seen, watch };
}

/** Answers when it is released. */
function heldAnswer() {
  let release = () => {};
  let asked = () => {};
  const isReleased = new Promise<void>((resolve) => {
    release = resolve;
  });
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const ask: ToyHandlers["ask"] = async (note) => {
    asked();
    await isReleased;
    return note;
  };
  return { ask, isAsked, release };
}

/** The one connection that a server allows is free, or will be in time. */
async function expectRoom(port: number): Promise<void> {
  await eventually(async () => {
    const peer = await rawSocket(port);
    peer.socket.write("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    await peer.closed;
    expect(peer.text).toContain("200 OK");
  }, FOUND_MS);
}

async function openProxy(port: number): Promise<FaultProxy> {
  const proxy = await FaultProxy.open(port);
  onTestFinished(() => proxy.close());
  return proxy;
}

function pingsOf(session: ClientHttp2Session): { count: number } {
  const pings = { count: 0 };
  session.on("ping", () => {
    pings.count += 1;
  });
  return pings;
}

describe("a connection of HTTP/2 whose peer is gone without a word", () => {
  it("is asked once, and closed, if it had no call", async () => {
    const { port } = await startToy({}, LIMITS);
    const peer = await rawSocket(port);
    peer.socket.write(helloFrames());
    const closedAfterMs = await peer.closed;
    expect(closedAfterMs).toBeGreaterThan(SILENT_MS - 20);
    expect(closedAfterMs).toBeLessThan(FOUND_MS);
    const types = frameTypes(Buffer.from(peer.text, "latin1"));
    expect(types.filter((type) => type === PING)).toHaveLength(1);
  });

  it("makes room for another one", async () => {
    const { port } = await startToy({}, { ...LIMITS, maxConnections: 1 });
    const proxy = await openProxy(port);
    await new GrpcToyClient(proxy.port).call("Ask");
    await proxy.blackhole();
    const startAt = performance.now();
    await expectRoom(port);
    expect(performance.now() - startAt).toBeGreaterThan(SILENT_MS - LOOK_MS);
  });

  it("ends its stream, though messages are sent on it all the time", async () => {
    const { seen, watch } = bookmarks();
    const { port, errors } = await startToy({ watch }, LIMITS);
    const proxy = await openProxy(port);
    const call = new GrpcToyClient(proxy.port).start("Watch");
    const ended = outcome(call);
    call.write({ text: "" });
    call.end();
    await eventually(() => expect(seen.sent).toBeGreaterThan(3));
    await proxy.blackhole();
    const startAt = performance.now();
    await eventually(() => expect(seen.endedAt).not.toBeNaN(), FOUND_MS);
    expect(seen.endedAt - startAt).toBeGreaterThan(SILENT_MS - LOOK_MS);
    await proxy.restore();
    expect((await ended).code).toBe("UNAVAILABLE");
    expect(errors).toEqual([]);
  });

  it("is closed though the network takes no more of what it is sent", async () => {
    const { seen, watch } = endless(1_000_000);
    const { port, errors } = await startToy({ watch }, { ...LIMITS, maxConnections: 1 });
    const peer = await rawSocket(port);
    peer.socket.pause();
    const startAt = performance.now();
    peer.socket.write(watchFrames());
    await eventually(() => expect(seen.isReturned).toBe(true), FOUND_MS);
    expect(performance.now() - startAt).toBeGreaterThan(SILENT_MS - 20);
    await expectRoom(port);
    expect(errors).toEqual([]);
  });
});

describe("a connection of HTTP/2 whose peer is there", () => {
  it("stays while PINGs are answered: grpc-js and Node, with a stream and without", async () => {
    const { seen, watch } = bookmarks();
    const { port } = await startToy({ watch }, LIMITS);
    const proxy = await openProxy(port); // counts connections
    const idle = new GrpcToyClient(proxy.port);
    await idle.call("Ask");
    const watching = new GrpcToyClient(proxy.port).start("Watch");
    watching.on("error", () => {});
    watching.on("data", () => {});
    watching.write({ text: "" });
    watching.end();
    const [bare, other] = [rawSession(proxy.port), rawSession(proxy.port)];
    const chat = rawCall(proxy.port, "Chat", [], other);
    const pings = [pingsOf(bare), pingsOf(other)];
    await sleep(LONG_MS);
    expect(seen.sent).toBeGreaterThan(3);
    expect(pings.map(({ count }) => count >= 2)).toEqual([true, true]);
    expect([bare.destroyed, other.destroyed, chat.closed, seen.endedAt]).toEqual([
      false,
      false,
      false,
      Number.NaN,
    ]);
    expect((await idle.call("Ask")).code).toBe("OK");
    expect([proxy.accepted, proxy.connections]).toEqual([4, 4]);
  });

  it("is sent no PING while it sends something now and then", async () => {
    const { port } = await startToy({}, LIMITS);
    const session = rawSession(port);
    const pings = pingsOf(session);
    const chat = rawCall(port, "Chat", [], session);
    chat.resume();
    const startAt = performance.now();
    while (performance.now() - startAt < LONG_MS) {
      chat.write(Buffer.from([0, 0, 0, 0, 0]));
      await sleep(LIMITS.pingAfterMs / 3);
    }
    expect(pings.count).toBe(0);
    await eventually(() => expect(pings.count).toBe(1));
  });

  it("stays while it takes what waits for it, though nothing else is heard", async () => {
    const { seen, watch } = endless(1_000_000);
    const { port } = await startToy({ watch }, LIMITS);
    const peer = await rawSocket(port);
    peer.socket.write(watchFrames());
    const startAt = performance.now();
    while (performance.now() - startAt < LONG_MS) {
      peer.socket.pause();
      await sleep(LOOK_MS / 2);
      peer.socket.resume();
      await sleep(2);
    }
    expect(seen.isReturned).toBe(false);
    peer.socket.pause();
    await eventually(() => expect(seen.isReturned).toBe(true), FOUND_MS);
  });
});

describe("a connection of HTTP/2 that closes", () => {
  it("lets a call finish that takes longer than silence may last, when the server stops", async () => {
    const held = heldAnswer();
    const server = await startToy({ ask: held.ask }, LIMITS);
    const running = new GrpcToyClient(server.port).call("Ask");
    await held.isAsked;
    const stopped = server.stop(10_000);
    await sleep(LONG_MS);
    held.release();
    expect(await running).toMatchObject({ code: "OK", notes: ["hello"] });
    await stopped;
  });

  it("lets a call finish that was asked for a sign of life just before", async () => {
    const held = heldAnswer();
    const server = await startToy({ ask: held.ask }, LIMITS);
    const session = rawSession(server.port);
    const stream = rawCall(server.port, "Ask", ["x"], session);
    stream.resume();
    const trailers = new Promise((resolve) => stream.once("trailers", resolve));
    await Promise.all([held.isAsked, new Promise((resolve) => session.once("ping", resolve))]);
    const stopped = server.stop(10_000);
    await sleep(LONG_MS);
    held.release();
    expect(await trailers).toMatchObject({ "grpc-status": "0" });
    await stopped;
  });

  it("lets a call finish when the peer closes", async () => {
    const held = heldAnswer();
    const { port } = await startToy({ ask: held.ask }, LIMITS);
    const session = rawSession(port);
    const stream = rawCall(port, "Ask", ["x"], session);
    stream.resume();
    const trailers = new Promise((resolve) => stream.once("trailers", resolve));
    await held.isAsked;
    session.close();
    await sleep(LONG_MS);
    held.release();
    expect(await trailers).toMatchObject({ "grpc-status": "0" });
  });
});
