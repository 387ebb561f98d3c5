import type { RequestListener } from "node:http";
import { createServer, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import type { ProbeableKind } from "../../src/adapters/adapter.js";
import { CALL_TIMEOUT_MS } from "../../src/adapters/http-call.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";
import { freePort } from "../support/stack.js";
import { probeOnce, serve } from "./fake-client.js";

// Whatever answers, a probe ends with an outcome, tells no secret, and has no side effect.

const KINDS: readonly ProbeableKind[] = [
  "aria2",
  "deluge",
  "haul",
  "nzbget",
  "qbittorrent",
  "sabnzbd",
  "transmission",
];
const SECRET = "plain-secret";
const target = (kind: ProbeableKind, url: string) => ({
  kind,
  url,
  username: "me",
  secret: SECRET,
});

const HOSTILE: readonly [string, string, RequestListener][] = [
  ["a page instead of an API", "wrong-kind", (_, response) => response.end("<html>hello</html>")],
  [
    "JSON of another program",
    "wrong-kind",
    (_, response) => response.end('{"rid":"x","jsonrpc":1}'),
  ],
  ["JSON that is not an object", "wrong-kind", (_, response) => response.end("null")],
  ["nothing there", "wrong-kind", (_, response) => response.writeHead(404).end("Not Found")],
  ["a server that is not well", "unreachable", (_, response) => response.writeHead(502).end()],
  [
    "an answer cut short",
    "unreachable",
    (_, response) => {
      response.writeHead(200, { "content-length": "100" }).write("v4");
      setImmediate(() => response.destroy());
    },
  ],
  [
    "a body without end",
    "wrong-kind",
    (_, response) => {
      const chunk = "x".repeat(64 * 1024);
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", more);
      more();
    },
  ],
  [
    "a body that unpacks to a thousand times its size",
    "wrong-kind",
    (_, response) =>
      response
        .writeHead(200, { "content-encoding": "gzip" })
        .end(gzipSync(Buffer.alloc(64 * 1024 * 1024, " "))),
  ],
  [
    "a body that is packed though none was asked for",
    "wrong-kind",
    (request, response) =>
      request.headers["accept-encoding"] === "identity"
        ? response.writeHead(200, { "content-encoding": "br" }).end("v4.5.2")
        : response.writeHead(500).end(),
  ],
];

/** What is no HTTP server, or one without end: what it writes, again and again. */
const HOSTILE_BYTES: readonly [string, string, string, string][] = [
  ["headers without end", "wrong-kind", "HTTP/1.1 200 OK\r\n", `x-more: ${"x".repeat(500)}\r\n`],
  ["one header without end", "wrong-kind", "HTTP/1.1 200 OK\r\nx-more: ", "x".repeat(500)],
  ["announcements without end", "wrong-kind", "", "HTTP/1.1 102 Processing\r\n\r\n"],
  [
    "small chunks without end",
    "wrong-kind",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    `4000\r\n${"x".repeat(0x4000)}\r\n`,
  ],
  [
    "a chunk whose length has no end",
    "wrong-kind",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5",
    `;${"x".repeat(500)}`,
  ],
  [
    "trailers without end",
    "wrong-kind",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
    `x-more: ${"x".repeat(500)}\r\n`,
  ],
  [
    "another protocol",
    "wrong-kind",
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "x".repeat(500),
  ],
  ["no HTTP", "wrong-kind", "SSH-2.0-OpenSSH_9.6\r\n", "x".repeat(500)],
];

test.each(KINDS.flatMap((kind) => HOSTILE.map((row) => [kind, ...row] as const)))(
  "%s: %s is %s",
  async (kind, _, outcome, listener) => {
    const probe = await probeOnce(target(kind, await serve(listener)));
    expect(probe.outcome).toBe(outcome);
    expect(JSON.stringify(probe)).not.toContain(SECRET);
  },
);

test.each(KINDS)("%s: a redirect is not followed", async (kind) => {
  let followed = 0;
  const elsewhere = await serve((_, response) => {
    followed += 1;
    response.end("v4.5.2");
  });
  const url = await serve((request, response) =>
    response.writeHead(307, { location: elsewhere + request.url }).end(),
  );
  const probe = await probeOnce(target(kind, url));
  expect(probe).toMatchObject({
    outcome: "wrong-kind",
    message: expect.stringContaining("redirect"),
  });
  expect(followed).toBe(0);
});

test.each(KINDS.flatMap((kind) => HOSTILE_BYTES.map((row) => [kind, ...row] as const)))(
  "%s: %s is %s",
  async (kind, _, outcome, first, more) => {
    let written = 0;
    const url = await serveBytes((socket) => {
      const write = () => {
        while (!socket.destroyed && socket.write(more)) written += more.length;
      };
      socket.on("drain", write);
      socket.write(first, write);
    });
    const probe = await probeOnce(target(kind, url));
    expect(probe.outcome).toBe(outcome);
    expect(JSON.stringify(probe)).not.toContain(SECRET);
    expect(written).toBeLessThan(32 * 1024 * 1024); // what two sockets' buffers may hold
  },
);

test.each(
  KINDS.flatMap((kind) => [
    [kind, "headers", "HTTP/1.1 200 OK\r\nx-more: "],
    [kind, "a body", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"],
  ]),
)("%s: one that lets %s drip is given 5 s in all", async (kind, _, first) => {
  const clock = new ManualClock();
  let drops = 0;
  const url = await serveBytes((socket) => {
    socket.write(first);
    const timer = setInterval(() => {
      drops += 1;
      socket.write("x");
    }, 2);
    socket.once("close", () => clearInterval(timer));
  });
  const probing = probeOnce(target(kind as ProbeableKind, url), clock);
  for (let passed = 0; passed < CALL_TIMEOUT_MS; passed += CALL_TIMEOUT_MS / 5) {
    const before = drops;
    await eventually(() => expect(drops).toBeGreaterThan(before));
    clock.advanceSync(CALL_TIMEOUT_MS / 5);
  }
  expect(await probing).toMatchObject({
    outcome: "unreachable",
    message: "it did not answer within 5 s",
  });
  expect(clock.pending).toBe(0);
});

test.each(KINDS)("%s: nobody at the port is unreachable", async (kind) => {
  const probe = await probeOnce(target(kind, `http://127.0.0.1:${await freePort()}`));
  expect(probe).toMatchObject({
    outcome: "unreachable",
    message: expect.stringContaining("ECONNREFUSED"),
  });
});

test.each(KINDS)("%s: one that accepts and stays silent is given 5 s", async (kind) => {
  const clock = new ManualClock();
  let accepted = 0;
  const url = await serveBytes(() => {
    accepted += 1;
  });
  const probing = probeOnce(target(kind, url), clock);
  await eventually(() => expect(accepted).toBe(1));
  clock.advanceSync(CALL_TIMEOUT_MS);
  expect(await probing).toMatchObject({
    outcome: "unreachable",
    message: "it did not answer within 5 s",
  });
  expect(clock.pending).toBe(0);
});

/** Something on loopback that does to each connection as a test likes. Returns its URL. */
async function serveBytes(onConnection: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => {}); // it is cut off
    onConnection(socket.resume());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
