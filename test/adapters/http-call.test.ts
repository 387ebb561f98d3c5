import "reflect-metadata";
import type { RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { gzipSync } from "node:zlib";
import * as x509 from "@peculiar/x509";
import { describe, expect, it, onTestFinished } from "vitest";
import { CALL_TIMEOUT_MS, createHttpClient } from "../../src/adapters/http-call.js";
import { probeClient } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import { createProbeRule } from "../../src/lib/probe-address.js";
import { ManualClock } from "../support/manual-clock.js";
import { FakeQBittorrent, serve } from "./fake-client.js";

const { signal } = new AbortController();
const HERE = { address: "127.0.0.1", family: 4 };
const METADATA = { address: "169.254.169.254", family: 4 };
const AWAY = { address: "127.0.0.254", family: 4 };

/** A name, at the port of that URL, as DNS answers it from one look-up to the next. */
function named(url: string, ...answers: readonly (typeof HERE)[][]) {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return answers[Math.min(asked.length, answers.length) - 1] ?? [];
  };
  const { port } = new URL(url);
  return { url: `http://nas.test:${port}`, asked, resolve };
}

const options = { clock: systemClock, addressRule: createProbeRule() };

describe("a name", () => {
  it("that leads to a refused address alone is not called, and the address is told", async () => {
    const name = named("http://127.0.0.1:80", [METADATA]);
    const call = createHttpClient(name.url, { ...options, resolve: name.resolve }).call;
    await expect(call(`${name.url}/x`, {}, signal)).rejects.toMatchObject({
      outcome: "unreachable",
      message:
        "it is at 169.254.169.254, an address where clouds keep secrets of their machines, which Pulse never calls",
    });
  });

  it("that leads to a refused address among others is called at the others", async () => {
    const server = await serve((_, response) => response.end("hello"));
    const name = named(server, [METADATA, HERE]);
    const { call } = createHttpClient(name.url, { ...options, resolve: name.resolve });
    expect(await call(`${name.url}/x`, {}, signal)).toMatchObject({ status: 200, text: "hello" });
  });

  it("without an address says so", async () => {
    const name = named("http://127.0.0.1:80", []);
    const { call } = createHttpClient(name.url, { ...options, resolve: name.resolve });
    await expect(call(`${name.url}/x`, {}, signal)).rejects.toThrow("its name has no address");
  });

  it("is looked up once for a probe: what it leads to meanwhile is never called", async () => {
    const client = new FakeQBittorrent();
    const server = await serve(client.listener);
    const name = named(server, [AWAY, HERE], [METADATA], [HERE]);
    const target = { kind: "qbittorrent", url: name.url, username: "me", secret: "right" } as const;
    const probe = await probeClient(target, { ...options, resolve: name.resolve, signal });
    expect(probe.outcome).toBe("ok");
    expect(client.paths).toHaveLength(5);
    expect(name.asked).toEqual(["nas.test"]);
  });

  it("whose look-up does not end is given up after 5 s", async () => {
    const clock = new ManualClock();
    const resolve = () => new Promise<never>(() => {});
    const { call } = createHttpClient("http://nas.test", { clock, resolve });
    const calling = call("http://nas.test/x", {}, signal);
    clock.advanceSync(CALL_TIMEOUT_MS);
    await expect(calling).rejects.toThrow("it did not answer within 5 s");
    expect(clock.pending).toBe(0);
  });
});

describe("an address", () => {
  it.each(["169.254.169.254", "0xa9fea9fe", "[::ffff:a9fe:a9fe]", "[fe80::1]", "2852039166"])(
    "%s is refused without a look-up",
    async (host) => {
      const resolve = () => Promise.reject(new Error("looked up"));
      const { call } = createHttpClient(`http://${host}`, { ...options, resolve });
      await expect(call(`http://${host}/x`, {}, signal)).rejects.toThrow(/Pulse never calls/);
    },
  );
});

it.each(["gzip", "deflate", "br", "gzip, identity"])(
  "an answer packed as %s is not unpacked",
  async (coding) => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, " "));
    const url = await serve((request, response) => {
      expect(request.headers["accept-encoding"]).toBe("identity");
      response.writeHead(200, { "content-encoding": coding }).end(bomb);
    });
    const { call } = createHttpClient(url, options);
    await expect(call(`${url}/x`, {}, signal)).rejects.toThrow("it packs its answer");
  },
);

it("another origin is not called", async () => {
  let called = 0;
  const other = await serve((_, response) => {
    called += 1;
    response.end();
  });
  const { call } = createHttpClient("http://127.0.0.1:9", { clock: systemClock });
  for (const url of [other, other.replace("http:", "https:"), "http://127.0.0.1:9@[::1]/"])
    await expect(call(`${url}/x`, {}, signal)).rejects.toThrow("another origin");
  expect(called).toBe(0);
});

describe("a certificate that nobody vouches for", () => {
  it("is refused before anything is said, and no variable switches that off", async () => {
    let called = 0;
    const url = await serveTls((_, response) => {
      called += 1;
      response.end();
    });
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    onTestFinished(() => {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    });
    const { call } = createHttpClient(url, options);
    await expect(call(`${url}/x`, {}, signal)).rejects.toMatchObject({
      outcome: "unreachable",
      message: expect.stringMatching(
        /not trusted here \(\w+\): name its CA in NODE_EXTRA_CA_CERTS/,
      ),
    });
    expect(called).toBe(0);
  });
});

/** An HTTPS server on loopback with a certificate that it made for itself. */
async function serveTls(listener: RequestListener): Promise<string> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=nas",
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }])],
  });
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const pem = `-----BEGIN PRIVATE KEY-----\n${key.toString("base64")}\n-----END PRIVATE KEY-----\n`;
  const server = createHttpsServer({ key: pem, cert: certificate.toString("pem") }, listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `https://127.0.0.1:${(server.address() as { port: number }).port}`;
}
