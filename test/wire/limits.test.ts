import { expect, it } from "vitest";
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

it("an HTTP/2 connection without calls is closed after a while", async () => {
  const { port } = await startToy({}, { idleConnectionMs: 100 });
  const session = rawSession(port);
  await eventually(() => expect(session.destroyed).toBe(true), 3_000);
});
