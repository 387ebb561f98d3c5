import { execFile } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  HeartbeatResponseSchema,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { Endpoints, type EndpointsOptions } from "../../src/wire/endpoints.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import type { TlsSource } from "../../src/wire/tls-options.js";
import { type ClientsAuthority, createTestAuthority, selfSigned } from "../support/authority.js";
import { serviceOf, startBareServer } from "../support/bare-grpc-server.js";
import { eventually } from "../support/eventually.js";
import { startTlsFront, type TlsFrontOptions } from "../support/tls-front.js";
import { startNode } from "./loopback-node.js";

// Real sockets on loopback, in real time.

const TOKEN = "the-token-that-must-not-leave";
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

let authority: ClientsAuthority;
beforeAll(async () => {
  authority = await createTestAuthority();
});

/** A server with TLS that answers GetService with its host. */
async function serve(options: TlsFrontOptions) {
  const node = await startNode("127.0.0.1");
  closers.push(() => node.stop());
  const front = await startTlsFront({ port: node.port, ...options });
  closers.push(() => front.stop());
  return { front, node };
}

function connect(
  address: string | readonly string[],
  tls?: TlsSource,
  more: EndpointsOptions = {},
) {
  const endpoints = new Endpoints([address].flat(), { ...more, ...(tls && { tls }) });
  const transport = createGrpcTransport({
    address: endpoints,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${TOKEN}`);
        return next(request);
      },
    ],
  });
  closers.push(() => transport.close());
  const { getService } = createClient(RegistryService, transport);
  return {
    transport,
    ask: async () => (await getService({ id: "x" }, { timeoutMs: 5_000 })).service?.id,
    async refusal() {
      const error = await getService({ id: "x" }, { timeoutMs: 5_000 }).catch((e) => e);
      expect(error).toBeInstanceOf(ConnectError);
      expect((error as ConnectError).code).toBe(Code.Unavailable);
      return (error as ConnectError).rawMessage;
    },
  };
}

const named = (address: string) => ({ lookup: async () => [address] });

describe("a connection with TLS", () => {
  it("goes to an IP address that the certificate has, without a server name", async () => {
    const { front } = await serve({ certificate: await authority.server("127.0.0.1") });
    expect(await connect(front.url, { ca: authority.ca }).ask()).toBe("127.0.0.1");
    expect(front.serverNames).toEqual([undefined]);
    expect(front.received()).toContain("PRI * HTTP/2.0"); // the recording works
  });

  it("goes to an IPv6 address", async () => {
    const { front } = await serve({ certificate: await authority.server("::1"), host: "::1" });
    const address = `https://[::1]:${front.port}`;
    expect(await connect(address, { ca: authority.ca }).ask()).toBe("127.0.0.1");
  });

  it("goes to what a name stands for, and wants the name in the certificate", async () => {
    const { front } = await serve({ certificate: await authority.server("pulse.test") });
    const address = `https://pulse.test:${front.port}`;
    const here = named("127.0.0.1");
    expect(await connect(address, { ca: authority.ca }, here).ask()).toBe("127.0.0.1");
    expect(front.serverNames).toEqual(["pulse.test"]);
    const other = connect(`https://other.test:${front.port}`, { ca: authority.ca }, here);
    expect(await other.refusal()).toBe(
      `no connection: TLS failed: the certificate of other.test:${front.port} is for other names (pulse.test): use one of these as Pulse's address, or give Pulse a certificate for this one`,
    );
  });

  it("passes over the node of several that is not trusted", async () => {
    const stranger = await createTestAuthority("stranger");
    const { front: bad } = await serve({ certificate: await stranger.server("127.0.0.1") });
    const { front: good } = await serve({ certificate: await authority.server("localhost") });
    const addresses = [bad.url, `https://localhost:${good.port}`];
    for (let i = 0; i < 4; i++)
      expect(await connect(addresses, { ca: authority.ca }, named("127.0.0.1")).ask()).toBeTruthy();
    expect(bad.received()).toBe("");
  });

  it("asks a function anew for each connection", async () => {
    const next = await createTestAuthority("the next one");
    const { front } = await serve({ certificate: await authority.server("127.0.0.1") });
    let ca = authority.ca;
    const { ask } = connect(front.url, async () => ({ ca }));
    await ask();
    front.renew(await next.server("127.0.0.1"));
    ca = next.ca;
    await eventually(ask, 5_000);
  });

  it("says why the function failed, and tries again", async () => {
    const { front } = await serve({ certificate: await authority.server("127.0.0.1") });
    let source: TlsSource = () => {
      throw new Error("cannot read ca.crt (ENOENT)");
    };
    const { ask, refusal } = connect(front.url, () => (source as () => { ca: string })());
    expect(await refusal()).toBe("no connection: TLS failed: cannot read ca.crt (ENOENT)");
    source = () => ({ ca: "nonsense" });
    await eventually(async () => expect(await refusal()).toMatch(/TLS failed: tls\.ca holds no/));
    source = () => ({ ca: authority.ca });
    await eventually(ask, 5_000);
  });

  it("below a background stream does not keep the process alive, below a call it does", async () => {
    const bare = await startBareServer({
      stream: (call) => void call.on("data", () => call.write(create(HeartbeatResponseSchema))),
      unary: (_call, callback) => void setTimeout(() => callback(null, serviceOf("late")), 1_000),
    });
    closers.push(() => bare.stop());
    const { certificate, fingerprint, key } = await selfSigned();
    const front = await startTlsFront({ port: bare.port, certificate: { certificate, key } });
    closers.push(() => front.stop());
    const script = join(import.meta.dirname, "..", "support", "exits-by-itself.ts");
    const run = (use: string) =>
      promisify(execFile)(process.execPath, [
        "--import",
        "tsx",
        script,
        front.url,
        use,
        fingerprint,
      ]);
    expect((await run("background")).stdout).toBe("open\n");
    expect((await run("calls")).stdout).toBe("late\n");
  });

  it("that is closed in the middle of the handshake is gone", async () => {
    const sockets = new Set<Socket>();
    // The head of a TLS record, and then nothing.
    const address = await plainServer((socket) => {
      sockets.add(socket);
      socket.once("data", () => socket.write(Buffer.from([0x16, 3, 3, 0, 80])));
    });
    const { transport, ask } = connect(address);
    const answer = ask().catch(() => {});
    await eventually(() => expect(sockets.size).toBe(1));
    await eventually(() => expect([...sockets][0]?.bytesWritten).toBe(5));
    transport.close();
    await answer;
    await eventually(() => expect([...sockets].map(({ closed }) => closed)).toEqual([true]), 2_000);
  });
});

describe("a certificate that is not good enough", () => {
  it("of an unknown authority", async () => {
    const { front } = await serve({ certificate: await authority.server("127.0.0.1") });
    const stranger = await createTestAuthority("stranger");
    for (const tls of [undefined, {}, { ca: stranger.ca }])
      expect(await connect(front.url, tls).refusal()).toBe(
        `no connection: TLS failed: nobody who is trusted here has signed the certificate of 127.0.0.1:${front.port}: give the certificate of its authority (ca), or its own fingerprint (fingerprint)`,
      );
    expect(front.received()).toBe("");
  });

  it("of another authority with the same name", async () => {
    const { front } = await serve({ certificate: await authority.server("127.0.0.1") });
    const namesake = await createTestAuthority();
    expect(await connect(front.url, { ca: namesake.ca }).refusal()).toMatch(
      /nobody who is trusted/,
    );
    expect(front.received()).toBe("");
  });

  it("that signed itself", async () => {
    const { front } = await serve({ certificate: await selfSigned() });
    expect(await connect(front.url, { ca: authority.ca }).refusal()).toMatch(
      /nobody who is trusted/,
    );
  });

  it("for another address", async () => {
    const { front } = await serve({
      certificate: await authority.server("10.0.0.1", "pulse.test"),
    });
    expect(await connect(front.url, { ca: authority.ca }).refusal()).toMatch(
      /TLS failed: the certificate of 127\.0\.0\.1:\d+ is for other names \(10\.0\.0\.1, pulse\.test\): use/,
    );
  });

  it("that has expired", async () => {
    const { front } = await serve({ certificate: await authority.expired() });
    expect(await connect(front.url, { ca: authority.ca }).refusal()).toMatch(
      /TLS failed: the certificate of 127\.0\.0\.1:\d+, or of its authority, has expired: renew it/,
    );
    expect(front.received()).toBe("");
  });
});

describe("a pin", () => {
  it("alone lets a self-signed certificate do, however it is written", async () => {
    const certificate = await selfSigned();
    const { front } = await serve({ certificate });
    const fingerprint = certificate.fingerprint.replaceAll(":", "").toLowerCase();
    expect(await connect(front.url, { fingerprint }).ask()).toBe("127.0.0.1");
  });

  it("that differs lets no byte of a call leave", async () => {
    const certificate = await selfSigned();
    const { front, node } = await serve({ certificate });
    const { fingerprint } = await selfSigned();
    const { refusal } = connect(front.url, { fingerprint });
    await eventually(async () => {
      expect(await refusal()).toBe(
        `no connection: TLS failed: the certificate of 127.0.0.1:${front.port} is not the pinned one, its SHA-256 fingerprint is ${certificate.fingerprint}: pin this one if it is that of Pulse's renewed certificate, else somebody else answers there`,
      );
      expect(front.connections).toBeGreaterThan(2);
    });
    await eventually(() => expect(front.sockets.size).toBe(0)); // closed, not kept
    expect(front.received()).toBe("");
    expect(node.calls).toBe(0);
  });

  it("with a CA: both must hold", async () => {
    const stranger = await createTestAuthority("stranger");
    const certificate = await authority.server("127.0.0.1");
    const { fingerprint } = certificate;
    const { front } = await serve({ certificate });
    expect(await connect(front.url, { ca: authority.ca, fingerprint }).ask()).toBe("127.0.0.1");
    expect(await connect(front.url, { ca: stranger.ca, fingerprint }).refusal()).toMatch(
      /nobody who/,
    );
    const other = await authority.server("127.0.0.1");
    const pinned = { ca: authority.ca, fingerprint: other.fingerprint };
    expect(await connect(front.url, pinned).refusal()).toMatch(/not the pinned one/);
  });

  it("with a CA still wants the name", async () => {
    const certificate = await authority.server("10.0.0.1");
    const { front } = await serve({ certificate });
    const { fingerprint } = certificate;
    expect(await connect(front.url, { ca: authority.ca, fingerprint }).refusal()).toMatch(
      /for other names/,
    );
  });
});

describe("a server that wants client certificates", () => {
  it("gets the one that is given, and says so if there is none or another's", async () => {
    const clients = await createTestAuthority("clients");
    const { front } = await serve({
      certificate: await authority.server("127.0.0.1"),
      clientCa: clients.ca,
    });
    const { ca } = authority;
    const good = await clients.client();
    expect(
      await connect(front.url, { ca, cert: good.certificate, key: good.key }).ask(),
    ).toBeTruthy();
    expect(await connect(front.url, { ca }).refusal()).toBe(
      "no connection: TLS failed: Pulse wants a client certificate: give one that its client CA has signed (cert and key)",
    );
    const bad = await authority.client();
    expect(await connect(front.url, { ca, cert: bad.certificate, key: bad.key }).refusal()).toMatch(
      /TLS failed: .*client certificate.*\(cert and key\)/,
    );
  });
});

describe("a server that speaks something else", () => {
  it("no TLS", async () => {
    const node = await startNode("127.0.0.1");
    closers.push(() => node.stop());
    expect(await connect(`https://127.0.0.1:${node.port}`).refusal()).toMatch(
      /^no connection: TLS failed: 127\.0\.0\.1:\d+ (does not speak TLS|ended the connection during the handshake)/,
    );
    const http = await plainServer((socket) =>
      socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    );
    expect(await connect(http).refusal()).toMatch(
      /TLS failed: 127\.0\.0\.1:\d+ does not speak TLS: turn/,
    );
  });

  it.each<[string, (socket: Socket) => void]>([
    ["ends", (socket) => socket.end()],
    ["resets", (socket) => socket.resetAndDestroy()],
  ])("a listener that %s the connection at once", async (_, answer) => {
    const address = await plainServer((socket) => socket.once("data", () => answer(socket)));
    expect(await connect(address).refusal()).toMatch(
      /TLS failed: 127\.0\.0\.1:\d+ ended the connection during the handshake/,
    );
  });

  it("TLS, where the address says http", async () => {
    const { front } = await serve({ certificate: await authority.server("127.0.0.1") });
    expect(await connect(`http://127.0.0.1:${front.port}`).refusal()).toBe(
      "no connection: the server ended the connection without a word of HTTP/2: if it speaks TLS, give its address as https://",
    );
  });
});

async function plainServer(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `https://127.0.0.1:${(server.address() as { port: number }).port}`;
}
