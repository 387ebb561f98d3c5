import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { beforeAll, describe, expect, it } from "vitest";
import { addressOf } from "../../src/wire/handler-context.js";
import type { WireLimits } from "../../src/wire/limits.js";
import type { TlsCredentials } from "../../src/wire/server.js";
import { type TestAuthority, testAuthority } from "../support/certificates.js";
import { eventually } from "../support/eventually.js";
import { httpsRequest } from "../support/https-request.js";
import { GrpcToyClient, rawSession } from "./grpc-client.js";
import { rawSocket } from "./raw-socket.js";
import { startToy, type ToyHandlers } from "./toy.js";

const GET = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const HELLO = Buffer.concat([Buffer.from(PREFACE), EMPTY_SETTINGS]);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let authority: TestAuthority;
let credentials: TlsCredentials;
beforeAll(async () => {
  authority = await testAuthority();
  credentials = await authority.server();
});

const startTls = (
  handlers: ToyHandlers = {},
  limits: Partial<WireLimits> = {},
  more: Partial<TlsCredentials> = {},
) => startToy(handlers, limits, [], { ...credentials, ...more });

const ssl = (options: { key?: string; certificate?: string; ca?: string } = {}) =>
  grpc.credentials.createSsl(
    Buffer.from(options.ca ?? authority.certificate),
    options.key ? Buffer.from(options.key) : null,
    options.certificate ? Buffer.from(options.certificate) : null,
  );
const grpcClient = (port: number, with_ = ssl()) => new GrpcToyClient(port, {}, with_);
const trusting = () => ({ ca: authority.certificate });
const agreed = (socket: unknown) => (socket as TLSSocket).alpnProtocol;

describe("one port in TLS", () => {
  it("serves gRPC, and tells its handlers where the peer is", async () => {
    const { port } = await startTls({ ask: (_, context) => ({ text: addressOf(context) }) });
    const client = grpcClient(port);
    expect((await client.call("Ask")).notes).toEqual(["127.0.0.1"]);
    expect((await client.call("Chat", ["a", "b"])).notes).toEqual(["re: a", "re: b", "bye"]);
  });

  it("serves Connect, and tells its handlers where the peer is", async () => {
    const { url } = await startTls({ ask: (_, context) => ({ text: addressOf(context) }) });
    const { status, text } = await httpsRequest(`${url}/toy.Toy/Ask`, {
      ...trusting(),
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect([status, text]).toEqual([200, '{"text":"127.0.0.1"}']);
  });

  it("serves plain HTTP, also to a client that has already ended its side", async () => {
    const { port } = await startTls();
    const peer = await rawSocket(port, { tls: trusting() });
    peer.socket.end(GET);
    await peer.closed;
    expect(peer.text).toMatch(/^HTTP\/1.1 200 /);
  });

  it("gives a client that offers HTTP/1.1 what it speaks, though it offers HTTP/2, too", async () => {
    const { port } = await startTls();
    for (const ALPNProtocols of [["h2", "http/1.1"], ["http/1.1", "h2"], ["http/1.1"]]) {
      const peer = await rawSocket(port, { tls: { ...trusting(), ALPNProtocols } });
      expect(agreed(peer.socket)).toBe("http/1.1");
      peer.socket.write(GET);
      await peer.closed;
      expect(peer.text).toMatch(/^HTTP\/1.1 200 /);
    }
  });

  it("gives a client that offers only HTTP/2 that", async () => {
    const { port } = await startTls();
    const peer = await rawSocket(port, { tls: { ...trusting(), ALPNProtocols: ["h2"] } });
    expect(agreed(peer.socket)).toBe("h2");
    peer.socket.write(HELLO);
    await eventually(() => expect(peer.text.charCodeAt(3)).toBe(4)); // SETTINGS
  });

  it("takes a client that offers nothing by its first bytes, even one by one", async () => {
    const { port } = await startTls();
    const peers = await Promise.all([
      rawSocket(port, { tls: trusting() }),
      rawSocket(port, { tls: trusting() }),
    ]);
    const [http1, http2] = peers as [(typeof peers)[0], (typeof peers)[0]];
    for (const byte of Buffer.from(GET)) http1.socket.write(Buffer.from([byte]));
    for (const byte of HELLO) {
      http2.socket.write(Buffer.from([byte]));
      await sleep(1);
    }
    await eventually(() => expect(http2.text.charCodeAt(3)).toBe(4));
    await eventually(() => expect(http1.text).toMatch(/^HTTP\/1.1 200 /));
  });

  it("refuses a client that offers nothing it knows, and one that does not keep to it", async () => {
    const { port } = await startTls();
    await expect(
      rawSocket(port, { tls: { ...trusting(), ALPNProtocols: ["h3"] } }),
    ).rejects.toThrow(/alpn|protocol/i);
    const liar = await rawSocket(port, { tls: { ...trusting(), ALPNProtocols: ["h2"] } });
    liar.socket.write(GET);
    await liar.closed;
    expect(liar.text).toBe("");
  });

  it.each(["TLSv1", "TLSv1.1"] as const)("refuses %s", async (version) => {
    const { port, failures } = await startTls();
    const old = {
      minVersion: version,
      maxVersion: version,
      ciphers: "DEFAULT@SECLEVEL=0",
    } as const;
    await expect(rawSocket(port, { tls: { ...trusting(), ...old } })).rejects.toThrow();
    await eventually(() => expect(failures).toHaveLength(1));
    expect(failures[0]).toEqual({ address: "127.0.0.1", code: "ERR_SSL_UNSUPPORTED_PROTOCOL" });
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)("speaks %s", async (version) => {
    const { port } = await startTls();
    const only = { minVersion: version, maxVersion: version } as const;
    const peer = await rawSocket(port, { tls: { ...trusting(), ...only } });
    peer.socket.write(GET);
    await peer.closed;
    expect(peer.text).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe("a handshake that does not end well", () => {
  it.each(["", "\x16\x03\x01"])("is over after its time, after %j", async (text) => {
    const { port, failures } = await startTls({}, { handshakeTimeoutMs: 150 });
    const peer = await rawSocket(port);
    peer.socket.write(text);
    const closedAfterMs = await peer.closed;
    expect(closedAfterMs).toBeGreaterThan(100);
    expect(closedAfterMs).toBeLessThan(2_000);
    await eventually(() => expect(failures).toEqual([{ address: "127.0.0.1", code: "TIMEOUT" }]));
  });

  it("leaves one alone that has ended it in time, until it must have said what it speaks", async () => {
    const { port, failures } = await startTls({}, { handshakeTimeoutMs: 300, sniffTimeoutMs: 900 });
    const peer = await rawSocket(port, { tls: trusting() });
    expect(await peer.closed).toBeGreaterThan(700);
    expect(failures).toEqual([]);
  });

  it("is over at once for a peer that ends its side, resets, or speaks plain text", async () => {
    // The one connection is free for the next as soon as the one before is gone.
    const { port, failures, errors } = await startTls({}, { maxConnections: 1 });
    for (const end of ["end", "resetAndDestroy"] as const) {
      const peer = await rawSocket(port);
      peer.socket.write("\x16\x03\x01");
      await sleep(20);
      peer.socket[end]();
      expect(await peer.closed).toBeLessThan(2_000);
      await eventually(async () => {
        const next = await rawSocket(port, { tls: trusting() });
        next.socket.write(GET);
        await next.closed;
        expect(next.text).toMatch(/^HTTP\/1.1 200 /);
      });
    }
    await eventually(async () => {
      const plain = await rawSocket(port);
      plain.socket.write(GET);
      expect(await plain.closed).toBeLessThan(2_000);
      expect(failures.map(({ code }) => code)).toContain("ERR_SSL_HTTP_REQUEST");
    });
    expect(errors).toEqual([]);
  });

  it("is one for a client that does not trust the authority", async () => {
    const { port, failures } = await startTls();
    const { certificate: ca } = await testAuthority("somebody else");
    expect((await grpcClient(port, ssl({ ca })).call("Ask")).code).toBe("UNAVAILABLE");
    await eventually(() => expect(failures.length).toBeGreaterThan(0));
  });

  it("does not keep a stop waiting", async () => {
    const server = await startTls();
    const peer = await rawSocket(server.port);
    peer.socket.write("\x16\x03\x01");
    await sleep(20);
    await server.stop(60_000);
    await peer.closed;
  });
});

describe("with an authority of clients", () => {
  const start = () => startTls({}, {}, { clientAuthority: authority.certificate });

  it("a client with a certificate from it gets in, over HTTP/2 and HTTP/1.1", async () => {
    const { port, url } = await start();
    const client = await authority.client("haul");
    expect((await grpcClient(port, ssl(client)).call("Ask")).code).toBe("OK");
    const pair = { cert: client.certificate, key: client.key };
    expect((await httpsRequest(`${url}/healthz`, { ...trusting(), ...pair })).status).toBe(200);
  });

  it("one without a certificate does not", async () => {
    const { port, url, failures } = await start();
    expect((await grpcClient(port).call("Ask")).code).toBe("UNAVAILABLE");
    await expect(httpsRequest(`${url}/healthz`, trusting())).rejects.toThrow();
    await eventually(() =>
      expect(failures[0]?.code).toBe("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"),
    );
  });

  it("one with a certificate of another authority of the same name does not, nor one with a server's", async () => {
    const { port, failures } = await start();
    const foreign = await (await testAuthority()).client("haul");
    expect((await grpcClient(port, ssl(foreign)).call("Ask")).code).toBe("UNAVAILABLE");
    await eventually(() => expect(failures).not.toEqual([]));
    expect(failures[0]).toMatchObject({ address: "127.0.0.1" });
    expect((await grpcClient(port, ssl(await authority.server())).call("Ask")).code).toBe(
      "UNAVAILABLE",
    );
  });
});

describe("other credentials", () => {
  it("are shown to new connections, and those that are there go on", async () => {
    const server = await startTls();
    const before = grpcClient(server.port);
    const chat = before.start("Chat");
    const heard: string[] = [];
    chat.on("data", ({ text }) => heard.push(text));
    chat.on("error", (error) => heard.push(String(error)));
    chat.write({ text: "1" });
    await eventually(() => expect(heard).toEqual(["re: 1"]));

    const newer = await testAuthority("the next");
    server.useCredentials(await newer.server());
    expect((await grpcClient(server.port).call("Ask")).code).toBe("UNAVAILABLE");
    const after = grpcClient(server.port, ssl({ ca: newer.certificate }));
    expect((await after.call("Ask")).code).toBe("OK");
    chat.write({ text: "2" });
    await eventually(() => expect(heard).toEqual(["re: 1", "re: 2"]));
    chat.cancel();
  });

  it("that cannot be used change nothing", async () => {
    const server = await startTls();
    const { key } = await authority.server();
    expect(() => server.useCredentials({ ...credentials, key })).toThrow();
    expect((await grpcClient(server.port).call("Ask")).code).toBe("OK");
  });

  it("end what an earlier handshake would have spared: no session is resumed into them", async () => {
    const server = await startTls({}, {}, { clientAuthority: authority.certificate });
    const client = await authority.client("haul");
    const options = { ...trusting(), cert: client.certificate, key: client.key };
    const first = await rawSocket(server.port, { tls: options });
    const ticket = once(first.socket, "session");
    first.socket.write(GET);
    const [session] = await ticket;
    const again = await rawSocket(server.port, { tls: { ...options, session } });
    expect((again.socket as TLSSocket).isSessionReused()).toBe(true);
    const other = await testAuthority("other clients");
    server.useCredentials({ ...credentials, clientAuthority: other.certificate });
    const late = await rawSocket(server.port, { tls: { ...options, session } });
    late.socket.write(GET);
    await late.closed;
    expect(late.text).toBe("");
  });
});

it("an HTTP/2 session in TLS lives past the time for its handshake and its first bytes", async () => {
  const { port } = await startTls({}, { handshakeTimeoutMs: 300, sniffTimeoutMs: 300 });
  const session = rawSession(port, authority.certificate);
  await once(session, "connect");
  await sleep(700);
  expect(session.destroyed).toBe(false);
});
