import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import { startServer } from "../../src/wire/server.js";
import { eventually } from "../support/eventually.js";
import { GrpcToyClient, rawSession } from "./grpc-client.js";
import { rawSocket } from "./raw-socket.js";
import { startToy } from "./toy.js";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

describe("one port", () => {
  it("speaks HTTP/1.1, and HTTP/2 whose preface comes byte by byte", async () => {
    const { url, port } = await startToy();
    expect(await (await fetch(`${url}/healthz`)).text()).toBe("ok\n");
    const peer = await rawSocket(port);
    for (const byte of Buffer.concat([Buffer.from(PREFACE), EMPTY_SETTINGS])) {
      peer.socket.write(Buffer.from([byte]));
      await sleep(1);
    }
    await eventually(() => expect(peer.text.charCodeAt(3)).toBe(4)); // SETTINGS
  });

  it("speaks HTTP/1.1 that comes byte by byte, and begins like HTTP/2", async () => {
    const { port } = await startToy();
    const peer = await rawSocket(port);
    for (const byte of Buffer.from("PROPFIND / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")) {
      peer.socket.write(Buffer.from([byte]));
      await sleep(1);
    }
    await peer.closed;
    expect(peer.text).toMatch(/^HTTP\/1.1 404 /);
  });

  it("answers an HTTP/1.1 client that has already ended its side", async () => {
    const { port } = await startToy();
    const peer = await rawSocket(port);
    peer.socket.end("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    await peer.closed;
    expect(peer.text).toMatch(/^HTTP\/1.1 200 /);
  });

  it.each(["", "P", PREFACE.slice(0, 23)])("closes a peer that ends after %j", async (text) => {
    const { port } = await startToy();
    const peer = await rawSocket(port);
    peer.socket.end(text);
    expect(await peer.closed).toBeLessThan(2_000);
    expect((await new GrpcToyClient(port).call("Ask")).code).toBe("OK");
  });

  it.each(["", "PRI * HT"])("closes a peer that stays silent after %j", async (text) => {
    const { port } = await startToy({}, { sniffTimeoutMs: 150 });
    const peer = await rawSocket(port);
    peer.socket.write(text);
    const closedAfterMs = await peer.closed;
    expect(closedAfterMs).toBeGreaterThan(100);
    expect(closedAfterMs).toBeLessThan(2_000);
  });

  it("leaves an idle HTTP/2 connection open past that time", async () => {
    const { port } = await startToy({}, { sniffTimeoutMs: 50 });
    const session = rawSession(port);
    await sleep(300);
    expect(session.destroyed).toBe(false);
  });

  it("closes an HTTP/1.1 peer that never ends its headers", async () => {
    const { port } = await startToy({}, { headersTimeoutMs: 200 });
    const peer = await rawSocket(port);
    peer.socket.write("GET / HTTP/1.1\r\nhost: x\r\n");
    expect(await peer.closed).toBeLessThan(5_000);
    expect(peer.text).toMatch(/^HTTP\/1.1 408 /);
  });

  it("survives a peer that resets", async () => {
    const { port } = await startToy();
    for (const text of ["", "PRI", PREFACE, "GET"]) {
      const { socket } = await rawSocket(port);
      socket.write(text);
      await sleep(5);
      socket.resetAndDestroy();
    }
    expect((await new GrpcToyClient(port).call("Ask")).code).toBe("OK");
  });

  it("that is taken is the system's error", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void other.close());
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as { port: number };
    const start = startServer({
      host: "127.0.0.1",
      port,
      clock: systemClock,
      mounts: [],
      routes: () => false,
      onInternalError: () => {},
    });
    await expect(start).rejects.toMatchObject({ code: "EADDRINUSE", syscall: "listen" });
  });
});
