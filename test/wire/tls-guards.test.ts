import * as grpc from "@grpc/grpc-js";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { WireLimits } from "../../src/wire/limits.js";
import type { TlsCredentials } from "../../src/wire/server.js";
import { type TestAuthority, testAuthority } from "../support/certificates.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { endless } from "./endless-watch.js";
import { GrpcToyClient, outcome, rawCall, rawSession } from "./grpc-client.js";
import { frameTypes, helloFrames, watchFrames } from "./raw-frames.js";
import { type RawSocket, rawSocket } from "./raw-socket.js";
import { startToy, type ToyHandlers } from "./toy.js";

// The guards look at the socket below a session: in TLS there are two. What they are for
// is tested in plain text, in http2-silence.test.ts and never-reading.test.ts.

const PING = 6;
const ENHANCE_YOUR_CALM = 11;
const LIMITS = { pingAfterMs: 300, pingTimeoutMs: 400 };
const LOOK_MS = LIMITS.pingTimeoutMs / 4;
const SILENT_MS = LIMITS.pingAfterMs + LIMITS.pingTimeoutMs;
const STALL_MS = 400;
const FOUND_MS = 5_000;
const KIB = 1_024;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let authority: TestAuthority;
let credentials: TlsCredentials;
beforeAll(async () => {
  authority = await testAuthority();
  credentials = await authority.server();
});

const startTls = (handlers: ToyHandlers, limits: Partial<WireLimits>) =>
  startToy(handlers, limits, [], credentials);
const trusting = () => ({ ca: authority.certificate });

/** What still comes is read, and then the end: a paused socket does not see it. */
async function expectClosed(peer: RawSocket): Promise<void> {
  await sleep(2.5 * STALL_MS);
  peer.socket.resume();
  expect(await peer.closed).toBeLessThan(2 * FOUND_MS);
}

describe("in TLS, a peer of HTTP/2 that is gone without a word", () => {
  it("is asked once, and closed", async () => {
    const { port } = await startTls({}, LIMITS);
    const peer = await rawSocket(port, { tls: trusting() });
    peer.socket.write(helloFrames());
    const closedAfterMs = await peer.closed;
    expect(closedAfterMs).toBeGreaterThan(SILENT_MS - 20);
    expect(closedAfterMs).toBeLessThan(FOUND_MS);
    const types = frameTypes(Buffer.from(peer.text, "latin1"));
    expect(types.filter((type) => type === PING)).toHaveLength(1);
  });

  it("ends its stream, though messages are sent on it all the time", async () => {
    const seen = { sent: 0, endedAt: Number.NaN };
    const watch: ToyHandlers["watch"] = async function* (_, { signal }) {
      try {
        for (; !signal.aborted; seen.sent++) {
          yield { text: "up to here" };
          await sleep(50);
        }
      } finally {
        seen.endedAt = performance.now();
      }
    };
    const { port, errors } = await startTls({ watch }, LIMITS);
    const proxy = await FaultProxy.open(port);
    onTestFinished(() => proxy.close());
    const ssl = grpc.credentials.createSsl(Buffer.from(authority.certificate));
    const startAt = performance.now(); // the last word of the peer may come well before its silence
    const call = new GrpcToyClient(proxy.port, {}, ssl).start("Watch");
    const ended = outcome(call);
    call.write({ text: "" });
    call.end();
    await eventually(() => expect(seen.sent).toBeGreaterThan(3));
    await proxy.blackhole();
    await eventually(() => expect(seen.endedAt).not.toBeNaN(), FOUND_MS);
    expect(seen.endedAt - startAt).toBeGreaterThan(SILENT_MS - LOOK_MS);
    await proxy.restore();
    expect((await ended).code).toBe("UNAVAILABLE");
    expect(errors).toEqual([]);
  });

  it("is closed though the network takes no more of what it is sent", async () => {
    const { seen, watch } = endless(1_000_000);
    const { port, errors } = await startTls({ watch }, LIMITS);
    const peer = await rawSocket(port, { tls: trusting() });
    peer.socket.pause();
    const startAt = performance.now();
    peer.socket.write(watchFrames());
    await eventually(() => expect(seen.isReturned).toBe(true), FOUND_MS);
    expect(performance.now() - startAt).toBeGreaterThan(SILENT_MS - 20);
    await expectClosed(peer);
    expect(errors).toEqual([]);
  });
});

it("in TLS, a peer stays while it takes what waits for it, though nothing else is heard", async () => {
  const { seen, watch } = endless(1_000_000);
  const { port } = await startTls({ watch }, LIMITS);
  const peer = await rawSocket(port, { tls: trusting() });
  peer.socket.write(watchFrames());
  const startAt = performance.now();
  while (performance.now() - startAt < 2 * SILENT_MS) {
    peer.socket.pause();
    await sleep(LOOK_MS / 2);
    peer.socket.resume();
    await sleep(2);
  }
  expect(seen.isReturned).toBe(false);
  peer.socket.pause();
  await eventually(() => expect(seen.isReturned).toBe(true), FOUND_MS);
});

describe("in TLS, a peer that never reads", () => {
  it("loses its stream, and nothing else of its connection", async () => {
    const { seen, watch } = endless(64 * KIB);
    const { port, errors } = await startTls({ watch }, { writeStallMs: STALL_MS });
    const session = rawSession(port, authority.certificate);
    const other = rawCall(port, "Chat", [], session);
    const stream = rawCall(port, "Watch", [""], session);
    await eventually(() => expect(stream.rstCode).toBe(ENHANCE_YOUR_CALM), FOUND_MS);
    await eventually(() => expect(seen.isReturned).toBe(true));
    await sleep(2 * STALL_MS);
    expect([other.closed, session.destroyed, errors]).toEqual([false, false, []]);
  });

  it("loses its connection when not even the reset can be sent", async () => {
    const { seen, watch } = endless(1_000_000);
    const { port } = await startTls({ watch }, { writeStallMs: STALL_MS });
    const peer = await rawSocket(port, { tls: trusting() });
    peer.socket.pause();
    peer.socket.write(watchFrames());
    await eventually(() => expect(seen.isReturned).toBe(true), FOUND_MS);
    await expectClosed(peer);
  });

  it("loses its connection over HTTP/1.1", async () => {
    const { seen, watch } = endless(64 * KIB);
    const { port, errors } = await startTls({ watch }, { writeStallMs: STALL_MS });
    const peer = await rawSocket(port, { tls: trusting() });
    peer.socket.pause();
    const head =
      "POST /toy.Toy/Watch HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\ncontent-length: 7\r\n\r\n";
    peer.socket.write(Buffer.concat([Buffer.from(head), Buffer.from("\0\0\0\0\x02{}")]));
    await eventually(
      () => expect(seen).toMatchObject({ isReturned: true, isAborted: true }),
      FOUND_MS,
    );
    await expectClosed(peer);
    expect(errors).toEqual([]);
  });
});
