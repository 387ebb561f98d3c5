import type { IncomingMessage } from "node:http";
import type { DescMethod } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { bodyOf, serve } from "../adapters/fake-client.js";
import { METHODS, methodPath } from "../support/contract-services.js";
import { HAUL, LONG_TTL, PROTOCOLS, TestPulse } from "../support/pulse.js";
import { askRaw, type RawRequest } from "../support/raw-http.js";
import { statusOf } from "../support/status.js";

// An older registry of this kind, on plain REST, let its callers in by holes such as
// these. Here they are tried, one after the other, as somebody would who knows of them.

const JSON_CONTENT = { "content-type": "application/json" };
const REGISTER_PATH = "/pulse.v1.RegistryService/Register";
const REGISTRATION = JSON.stringify({
  service: HAUL.service,
  serviceApiKey: HAUL.serviceApiKey,
});

let pulse: TestPulse;
let adminToken: string;
beforeAll(async () => {
  pulse = await TestPulse.start();
  adminToken = await pulse.fileToken("admin");
  const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
  await registry.register({ ...HAUL, requestedTtl: LONG_TTL });
});
afterAll(() => pulse.stop());

const raw = (request: RawRequest) => askRaw(pulse.server.url, request);

/** All that anybody could have changed. */
async function registryNow() {
  const { registry, tokens } = pulse.clients("gRPC", adminToken);
  const { revision, services } = await registry.listServices({});
  // When a token was used last is told too, and this very call uses one.
  const known = (await tokens.listTokens({})).tokens.map(({ lastUsedTime: _, ...token }) => token);
  return { revision, services, tokens: known };
}

/** Calls a method whatever its kind is, and returns the status that it ends with. */
async function statusFrom(
  transport: Transport,
  method: DescMethod,
  headers: Record<string, string>,
) {
  const client = createClient(method.parent, transport) as unknown as Record<
    string,
    (request: unknown, options: object) => unknown
  >;
  const streams = method.methodKind === "bidi_streaming";
  const request = streams ? (async function* () {})() : {};
  try {
    const reply = client[method.localName]?.(request, { headers, timeoutMs: 20_000 });
    if (method.methodKind === "unary") await reply;
    else for await (const _ of reply as AsyncIterable<unknown>) break;
  } catch (error) {
    return statusOf(error);
  }
  throw new Error(`${method.name} was answered`);
}

describe("a header that skips authentication", () => {
  const NAMES = [
    ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-user", "x-forwarded-proto"],
    ...["forwarded", "x-real-ip", "x-client-ip", "x-original-url", "x-rewrite-url", "via"],
    ...["x-remote-user", "remote-user", "x-auth-user", "x-webauth-user", "x-user", "x-role"],
    ...["x-internal", "x-internal-request", "x-internal-token", "x-service-auth", "x-debug"],
    ...["x-pulse-internal", "x-pulse-token", "x-pulse-scope", "x-pulse-skip-auth", "x-skip-auth"],
    ...["x-api-key", "x-auth-token", "x-access-token", "api-key", "token", "cookie"],
    ...["proxy-authorization", "x-authorization", "authentication", "x-http-method-override"],
    ...["user-agent", "origin", "referer", "x-ssl-client-verify", "x-client-cert", "x-request-id"],
  ];
  const VALUES = ["true", "1", "admin", "127.0.0.1", "localhost", "/healthz", "SUCCESS", "root"];

  it.each(PROTOCOLS)("is not known over %s: the answer is that without it", async (protocol) => {
    const transport = pulse.transport(protocol, undefined);
    const before = await registryNow();
    const methods = METHODS.filter(
      ({ methodKind, parent }) =>
        (protocol === "gRPC" || methodKind !== "bidi_streaming") &&
        [RegistryService, TokenService].includes(parent as never),
    );
    for (const method of methods) {
      const plain = await statusFrom(transport, method, {});
      expect(plain).toMatchObject({ code: "Unauthenticated", reason: "TOKEN_MISSING" });
      const all = Object.fromEntries(NAMES.map((name, i) => [name, VALUES[i % 8] ?? ""]));
      expect(await statusFrom(transport, method, all)).toEqual(plain);
    }
    const register = RegistryService.method.register;
    const plain = await statusFrom(transport, register, {});
    for (const name of NAMES)
      for (const value of [...VALUES.slice(0, 4), adminToken, `Bearer ${adminToken}`])
        expect([name, await statusFrom(transport, register, { [name]: value })]).toEqual([
          name,
          plain,
        ]);
    expect(await registryNow()).toEqual(before);
  });

  it("is not known by any name or value, raw", async () => {
    const call = { path: REGISTER_PATH, body: REGISTRATION };
    const plain = await raw({ ...call, headers: JSON_CONTENT });
    expect(plain.status).toBe(401);
    const before = await registryNow();
    const name = fc
      .stringMatching(/^[a-z][a-z-]{0,20}$/)
      .map((rest) => `x-${rest}`)
      .filter((header) => !header.endsWith("-"));
    const value = fc.oneof(
      fc.stringMatching(/^[!-~]{1,40}$/),
      fc.constantFrom("true", "admin", adminToken, `Bearer ${adminToken}`),
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, value, { maxKeys: 8 }), async (headers) => {
        expect(await raw({ ...call, headers: { ...headers, ...JSON_CONTENT } })).toEqual(plain);
      }),
      { numRuns: 150 },
    );
    expect(await registryNow()).toEqual(before);
  });

  const known = () => /^(pulse_[0-9a-f]+_)/.exec(adminToken)?.[1] ?? "";
  it.each<[string, () => string | string[]]>([
    ["no scheme", () => adminToken],
    ["another scheme", () => `Basic ${adminToken}`],
    [
      "Basic with it inside",
      () => `Basic ${Buffer.from(`admin:${adminToken}`).toString("base64")}`,
    ],
    ["only the scheme", () => "Bearer"],
    ["nothing after the scheme", () => "Bearer "],
    ["null", () => "Bearer null"],
    ["undefined", () => "Bearer undefined"],
    ["a token that begins right", () => `Bearer ${known()}${"A".repeat(43)}`],
    ["a token with more behind it", () => `Bearer ${adminToken}x`],
    ["two tokens", () => `Bearer x, Bearer ${adminToken}`],
    ["a list of one", () => `Bearer ${adminToken},`],
    ["a token in quotes", () => `Bearer "${adminToken}"`],
    ["the hash's form", () => `Bearer ${"A".repeat(43)}`],
    ["two headers, the first one wrong", () => ["Bearer x", `Bearer ${adminToken}`]],
  ])("is not an authorization with %s", async (_, authorization) => {
    const headers = { ...JSON_CONTENT, authorization: authorization() };
    const answer = await raw({ path: REGISTER_PATH, body: REGISTRATION, headers });
    expect(answer.status).toBe(401);
    expect(answer.body).not.toContain(adminToken);
  });
});

describe("a path that skips authentication", () => {
  const PATHS = [
    "/pulse.v1.RegistryService/Register",
    "//pulse.v1.RegistryService/Register",
    "/pulse.v1.RegistryService//Register",
    "/pulse.v1.RegistryService/Register/",
    "/pulse.v1.RegistryService/Register/../Register",
    "/pulse.v1.RegistryService/./Register",
    "/pulse.v1.registryservice/register",
    "/PULSE.V1.REGISTRYSERVICE/REGISTER",
    "/pulse.v1.RegistryService/Register?token=TOKEN",
    "/pulse.v1.RegistryService/Register?access_token=TOKEN&authorization=Bearer%20TOKEN",
    "/pulse.v1.RegistryService/Register;token=TOKEN",
    "/pulse.v1.RegistryService/Register#/healthz",
    "/pulse.v1.RegistryService/Register%00",
    "/pulse.v1.RegistryService%2FRegister",
    "/%70ulse.v1.RegistryService/Register",
    "/healthz/pulse.v1.RegistryService/Register",
    "/healthz/../pulse.v1.RegistryService/Register",
    "/healthz/..%2fpulse.v1.RegistryService/Register",
    "/healthz//pulse.v1.RegistryService/Register",
    "/healthz?/pulse.v1.RegistryService/Register",
    "/healthz%2f..%2fpulse.v1.RegistryService/Register",
    "/grpc.health.v1.Health/../pulse.v1.RegistryService/Register",
    "/grpc.health.v1.Health/Check/../../pulse.v1.RegistryService/Register",
    "http://127.0.0.1/pulse.v1.RegistryService/Register",
    "http://localhost/healthz/../pulse.v1.RegistryService/Register",
    "\\pulse.v1.RegistryService\\Register",
    "*",
  ];
  const VERBS = ["POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LINK"];

  it("is not there, whatever the method", async () => {
    const before = await registryNow();
    for (const path of PATHS)
      for (const method of VERBS) {
        const body = method === "POST" || method === "PUT" ? REGISTRATION : "";
        const length = { "content-length": String(Buffer.byteLength(body)) };
        const headers = { ...JSON_CONTENT, "x-http-method-override": "POST", ...length };
        const request = { method, path: path.replaceAll("TOKEN", adminToken), headers, body };
        const { status } = await raw(request);
        expect([method, path, status >= 400]).toEqual([method, path, true]);
      }
    expect(await registryNow()).toEqual(before);
  });

  it("is not a call by GET with its message in the query", async () => {
    const query = "encoding=json&message=%7B%7D&connect=v1";
    for (const method of METHODS) {
      const { status, body } = await raw({ method: "GET", path: `${methodPath(method)}?${query}` });
      expect([method.name, status >= 400]).toEqual([method.name, true]);
      expect(body).not.toContain(HAUL.serviceApiKey);
    }
  });
});

describe("an unauthenticated hook", () => {
  it.each(PROTOCOLS)("is none of the calls over %s", async (protocol) => {
    const before = await registryNow();
    const transport = pulse.transport(protocol, undefined);
    for (const method of METHODS) {
      if (method.methodKind === "bidi_streaming" && protocol !== "gRPC") continue;
      const { code } = await statusFrom(transport, method, {});
      // UNIMPLEMENTED: it is in the contract, and this Pulse does not have it.
      expect([method.name, ["Unauthenticated", "Unimplemented"].includes(code)]).toEqual([
        method.name,
        true,
      ]);
    }
    expect(await registryNow()).toEqual(before);
  });

  const GUESSES = ["hook", "hooks", "webhook", "webhooks", "callback", "notify", "event", "events"]
    .concat(["register", "registry", "services", "service", "heartbeat", "deregister", "agents"])
    .concat(["clients", "download-clients", "downloadclient", "indexer", "sync", "push", "rpc"])
    .concat([
      "admin",
      "debug",
      "internal",
      "config",
      "settings",
      "keys",
      "tokens",
      "login",
      "setup",
    ])
    .concat([
      "debug/pprof",
      "status",
      "health",
      "metrics",
      "swagger",
      "graphql",
      "v1/kv",
      "catalog",
    ]);
  const PREFIXES = ["/", "/api/", "/api/v1/", "/api/v3/", "/v1/", "/internal/", "/healthz/"];

  it("is no other path of the port either", async () => {
    const before = await registryNow();
    for (const prefix of PREFIXES)
      for (const guess of GUESSES)
        for (const method of ["GET", "POST", "PUT"]) {
          const path = prefix + guess;
          if (path === "/metrics" || path === "/status") continue; // may be pages one day; see below
          const body = method === "GET" ? undefined : REGISTRATION;
          const answer = await raw({
            method,
            path,
            headers: { ...JSON_CONTENT, authorization: `Bearer ${adminToken}` },
            ...(body === undefined ? {} : { body }),
          });
          expect([method, path, answer.status]).toEqual([method, path, 404]);
        }
    expect(await registryNow()).toEqual(before);
  });

  it("is not the health page, which says nothing of services", async () => {
    const before = await registryNow();
    for (const method of ["GET", "POST", "PUT", "DELETE"]) {
      const { status, body } = await raw({ method, path: "/healthz", body: REGISTRATION });
      expect(status).toBe(200);
      expect(Object.keys(JSON.parse(body)).sort()).toEqual(["expiry", "status", "store"]);
    }
    expect(await registryNow()).toEqual(before);
  });

  it("no page holds a key", async () => {
    for (const path of ["/", "/healthz", "/metrics", "/status", "/dashboard", "/index.html"]) {
      const { body } = await raw({ method: "GET", path });
      for (const secret of [HAUL.serviceApiKey, HAUL.instanceSecret, adminToken])
        expect(body).not.toContain(secret);
    }
  });
});

describe.each(PROTOCOLS)("keys sent to a health URL, registered over %s", (protocol) => {
  interface Seen {
    readonly url: string;
    readonly text: string;
  }
  /** @param loginsGoTo where it sends who logs in, with the credentials that he has in hand */
  const recorder = async (loginsGoTo?: string) => {
    const seen: Seen[] = [];
    const url = await serve(async (request: IncomingMessage, response) => {
      const text = JSON.stringify(request.headers) + (await bodyOf(request));
      seen.push({ url: `${request.method} ${request.url}`, text });
      if (request.method === "POST" && loginsGoTo)
        response.writeHead(307, { location: `${loginsGoTo}${request.url}` }).end();
      else response.writeHead(403).end("Forbidden");
    });
    return { seen, url };
  };

  it("Pulse calls no health_url, and the api_url only when an operator tests it", async () => {
    const health = await recorder();
    const elsewhere = await recorder();
    const api = await recorder(elsewhere.url);
    const name = `recorded-${protocol}`;
    const { registry } = pulse.clients(protocol, await pulse.fileToken("service"));
    const admin = pulse.clients(protocol, adminToken);
    const request = {
      ...HAUL,
      service: {
        ...HAUL.service,
        name,
        apiUrl: `${api.url}/base`,
        healthUrl: `${health.url}/health?probe=1`,
        metadata: { callback: `${elsewhere.url}/callback`, webhook: `${elsewhere.url}/hook` },
      },
      instanceId: name,
      requestedTtl: LONG_TTL,
    };
    const { downloadClient } = await registry.register(request);
    await registry.register(request);
    await admin.downloadClients.listDownloadClients({});
    await admin.registry.explainService({ id: name });
    expect([health.seen, api.seen, elsewhere.seen]).toEqual([[], [], []]);

    await admin.downloadClients.testDownloadClient({ id: downloadClient?.id ?? "" });
    expect(api.seen.length).toBeGreaterThan(0);
    for (const { url } of api.seen) expect(url).toMatch(/^(GET|POST) \/base\//);
    expect(api.seen.some(({ text }) => text.includes(HAUL.serviceApiKey))).toBe(true);
    // Not even where the api_url redirects to.
    expect([health.seen, elsewhere.seen]).toEqual([[], []]);
    await registry.deregister(request);
    expect([health.seen, elsewhere.seen]).toEqual([[], []]);
  });
});
