import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.js";
import { GrpcToyClient, rawCall, rawSession } from "./grpc-client.js";
import { rawSocket } from "./raw-socket.js";
import { startToy } from "./toy.js";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it("one connection more than allowed is closed at once, and the others live", async () => {
  const { port, url } = await startToy({}, { maxConnections: 2 });
  const first = await rawSocket(port);
  const second = await rawSocket(port);
  const third = await rawSocket(port);
  expect(await third.closed).toBeLessThan(1_000);
  first.socket.destroy();
  second.socket.destroy();
  await eventually(async () => expect((await fetch(`${url}/healthz`)).status).toBe(200));
});

it("one connection of an address more than allowed is closed at once, and other addresses have theirs", async () => {
  const { port, url } = await startToy({}, { maxConnectionsPerAddress: 2 });
  const first = await rawSocket(port);
  await rawSocket(port);
  expect(await (await rawSocket(port)).closed).toBeLessThan(1_000);
  const other = await rawSocket(port, { from: "127.0.0.2" });
  other.socket.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => expect(other.text).toMatch(/^HTTP\/1.1 200 /));
  first.socket.destroy();
  await eventually(async () => expect((await fetch(`${url}/healthz`)).status).toBe(200));
});

it("one stream more than allowed waits, or is refused if the peer does not", async () => {
  const never = () => new Promise<never>(() => {});
  let running = 0;
  const { port } = await startToy(
    {
      ask() {
        running += 1;
        return never();
      },
    },
    { maxStreamsPerConnection: 3 },
  );
  const session = rawSession(port);
  const settings = await new Promise<{ maxConcurrentStreams?: number }>((resolve) =>
    session.once("remoteSettings", resolve),
  );
  expect(settings.maxConcurrentStreams).toBe(3);
  for (let i = 0; i < 10; i++) rawCall(port, "Ask", [""], session);
  await sleep(200);
  expect(running).toBe(3);
});

it("a message over the limit is RESOURCE_EXHAUSTED, and the next call succeeds", async () => {
  const { port } = await startToy({}, { maxMessageBytes: 1_000 });
  const client = new GrpcToyClient(port);
  expect((await client.call("Ask", ["x".repeat(1_001)])).code).toBe("RESOURCE_EXHAUSTED");
  expect((await client.call("Ask", ["x"])).code).toBe("OK");
});

it("a response over the limit is RESOURCE_EXHAUSTED, and reported", async () => {
  const { port, errors } = await startToy(
    { ask: () => ({ text: "x".repeat(1_001) }) },
    { maxMessageBytes: 1_000 },
  );
  expect((await new GrpcToyClient(port).call("Ask")).code).toBe("RESOURCE_EXHAUSTED");
  expect(errors).toMatchObject([{ message: expect.stringContaining("1004 bytes") }]);
});

it("headers over the limit do not reach a handler", async () => {
  let calls = 0;
  const { port } = await startToy(
    {
      ask() {
        calls += 1;
        return {};
      },
    },
    { maxHeaderBytes: 2_000 },
  );
  const client = new GrpcToyClient(port);
  const metadata = { "x-long": "x".repeat(3_000) };
  expect((await client.call("Ask", [""], { metadata })).code).not.toBe("OK");
  expect(calls).toBe(0);
  expect((await client.call("Ask")).code).toBe("OK");
});

it("too many PINGs end the connection, a few do not", async () => {
  const { port } = await startToy({}, { maxPingsPer10s: 100 });
  const session = rawSession(port);
  await new Promise((resolve) => session.once("connect", resolve));
  const ping = () => new Promise((resolve) => session.ping((error) => resolve(error)));
  for (let i = 0; i < 50; i++) expect(await ping()).toBeNull();
  const goaway = new Promise((resolve) => session.once("goaway", resolve));
  for (let i = 0; i < 100 && !session.destroyed; i++) await ping();
  expect(await goaway).toBe(11); // ENHANCE_YOUR_CALM
});

it("too many resets of calls in progress end the connection, a few do not", async () => {
  const { port } = await startToy(
    { ask: () => new Promise(() => {}) },
    { maxResets: 20, maxResetsPerSecond: 0.1 },
  );
  const reset = async (session: ReturnType<typeof rawSession>, count: number) => {
    for (let i = 0; i < count && !session.destroyed; i++) {
      const call = rawCall(port, "Ask", [""], session);
      if (call.pending) await new Promise((resolve) => call.once("ready", resolve));
      call.close(8); // CANCEL
      await new Promise((resolve) => call.once("close", resolve));
    }
  };
  const calm = rawSession(port);
  await reset(calm, 20);
  const answered = await new Promise((resolve) => calm.ping((error) => resolve(error)));
  expect(answered).toBeNull();
  const session = rawSession(port);
  const goaway = new Promise((resolve) => session.once("goaway", resolve));
  await reset(session, 60);
  expect(await goaway).toBe(11); // ENHANCE_YOUR_CALM
});

describe("what has come of a message that is not whole", () => {
  /** The head of a message of 1,000 bytes, and 500 of them. */
  const half = Buffer.concat([Buffer.from([0, 0, 0, 3, 0xe8]), Buffer.alloc(500)]);
  const halfRequest =
    "POST /toy.Toy/Ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";

  it.each(["Ask", "Watch", "Collect", "Chat"] as const)(
    "ends the call %s after a while",
    async (name) => {
      const { port } = await startToy({}, { headersTimeoutMs: 200, requestTimeoutMs: 200 });
      const session = rawSession(port);
      const idle = rawCall(port, "Chat", ["", ""], session);
      const stream = rawCall(port, "Chat", [], session);
      const call = session.request({
        ":method": "POST",
        ":path": `/toy.Toy/${name}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      call.on("error", () => {});
      call.write(half);
      await eventually(() => expect(call.rstCode).toBe(11));
      await eventually(() => expect(stream.rstCode).toBe(11)); // it sent none at all
      expect([idle.closed, session.destroyed]).toEqual([false, false]);
    },
  );

  it("may be so much of an address, and of all", async () => {
    const { port } = await startToy({}, { maxHeldBytesPerAddress: 1_200, maxHeldBytes: 1_400 });
    const session = rawSession(port);
    const hold = () => {
      const call = rawCall(port, "Chat", [], session);
      call.write(half);
      return call;
    };
    const [first, second, third] = [hold(), hold(), hold()];
    await eventually(() => expect(third.rstCode).toBe(11));
    expect([first.closed, second.closed]).toEqual([false, false]);
    const other = await rawSocket(port, { from: "127.0.0.2" });
    other.socket.write(halfRequest + "x".repeat(500));
    expect(await other.closed).toBeLessThan(2_000);
    first.write(Buffer.alloc(500)); // the rest of it gives it all back
    const again = hold();
    await sleep(100);
    expect(again.closed).toBe(false);
  });

  it("does not end a stream over HTTP/1.1 whose request is whole", async () => {
    const { url } = await startToy(
      {
        async *watch() {
          for (let n = 0; n < 10; n++) {
            yield { text: `${n}` };
            await sleep(50);
          }
        },
      },
      { headersTimeoutMs: 100, requestTimeoutMs: 100 },
    );
    const body = Buffer.from([0, 0, 0, 0, 2, ...Buffer.from("{}")]);
    const response = await fetch(`${url}/toy.Toy/Watch`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body,
    });
    expect(await response.text()).toContain('"9"');
  });
});

it("one call of an address more than allowed is RESOURCE_EXHAUSTED, and other addresses have theirs", async () => {
  const { port, url } = await startToy({}, { maxCallsPerAddress: 2 });
  const session = rawSession(port);
  const first = rawCall(port, "Chat", [""], session);
  rawCall(port, "Chat", [""], session);
  await new Promise((resolve) => first.once("data", resolve));
  const client = new GrpcToyClient(port);
  expect(await client.call("Ask")).toMatchObject({
    code: "RESOURCE_EXHAUSTED",
    details: expect.stringContaining("too many calls"),
  });
  const ask = `${url}/toy.Toy/Ask`;
  const json = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
  expect((await fetch(ask, json)).status).toBe(429);
  const other = await rawSocket(port, { from: "127.0.0.2" });
  other.socket.write(
    "POST /toy.Toy/Ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
  );
  await eventually(() => expect(other.text).toMatch(/^HTTP\/1.1 200 /));
  first.close();
  await eventually(async () => expect((await client.call("Ask")).code).toBe("OK"));
});

it("an HTTP/2 connection without calls is closed after a while", async () => {
  const { port } = await startToy({}, { idleConnectionMs: 100 });
  const session = rawSession(port);
  await eventually(() => expect(session.destroyed).toBe(true), 3_000);
});
