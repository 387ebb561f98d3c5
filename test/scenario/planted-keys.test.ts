import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { eventually } from "../support/eventually.js";
import type { RunningProgram } from "../support/processes.js";
import { HAUL, LONG_TTL, PROTOCOLS, type WireProtocol } from "../support/pulse.js";
import { askRaw } from "../support/raw-http.js";
import { Stack } from "../support/stack.js";
import { statusOf } from "../support/status.js";

// Secrets are planted wherever a caller can put them, also where they do not belong, and
// then looked for in all that Pulse and Haul have written, down to what is for debugging.

const DEBUG = { PULSE_LOG_LEVEL: "debug", HAUL_LOG_LEVEL: "debug" };
const planted = new Set<string>();

/** A secret that is nowhere else. Short, since what quotes values leaves out long ones. */
function plant(): string {
  const secret = `planted${randomBytes(6).toString("hex")}`;
  planted.add(secret);
  return secret;
}

let stack: Stack;
let pulse: RunningProgram;
let haul: RunningProgram;
const closers: (() => void)[] = [];

beforeAll(async () => {
  stack = await Stack.create();
  pulse = await stack.startPulse(DEBUG);
  haul = await stack.startHaul("haul", [], { ...DEBUG, PATH: "" });
  await haul.line("haul.registered");
});
afterAll(async () => {
  for (const close of closers) close();
  await stack.stop();
});

function transportOf(protocol: WireProtocol, token: string): Transport {
  const withToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const interceptors = [withToken];
  if (protocol === "gRPC") {
    const transport = createGrpcTransport({ address: stack.url, interceptors });
    closers.push(() => transport.close());
    return transport;
  }
  const options = { baseUrl: stack.url, httpVersion: "1.1" as const, interceptors };
  return protocol === "Connect" ? createConnectTransport(options) : createGrpcWebTransport(options);
}

/** The status that a call is refused with; it may also pass. */
async function tell(call: Promise<unknown>) {
  try {
    await call;
    return undefined;
  } catch (error) {
    return statusOf(error);
  }
}

function expectNothingPlantedIn(text: string): void {
  expect(text).not.toMatch(/planted[0-9a-f]/); // nor a part of one
  for (const secret of planted) expect(text.includes(secret) ? secret : "").toBe("");
}

describe.each(PROTOCOLS)("over %s", (protocol) => {
  test("a whole life with secrets in their places", async () => {
    const transport = transportOf(protocol, await stack.token("admin"));
    const registry = createClient(RegistryService, transport);
    const clients = createClient(DownloadClientService, transport);
    const tokens = createClient(TokenService, transport);
    const own = {
      ...HAUL,
      service: { ...HAUL.service, name: `own-${protocol}`, apiUrl: "http://127.0.0.1:1" },
      instanceId: `own-${protocol}`,
      instanceSecret: plant(),
      serviceUsername: plant(),
      serviceApiKey: plant(),
      requestedTtl: LONG_TTL,
    };
    const { downloadClient } = await registry.register(own);
    const id = downloadClient?.id ?? "";
    await registry.register({ ...own, serviceApiKey: plant() });
    await clients.listDownloadClients({});
    for await (const _ of clients.watchDownloadClients({})) break;
    await clients.testDownloadClient({ id });
    await clients.updateDownloadClient({
      downloadClient: { id, overrides: { username: plant(), password: plant() } },
      updateMask: { paths: ["overrides.username", "overrides.password"] },
    });
    await clients.testDownloadClient({ id });
    const manual = await clients.createDownloadClient({
      downloadClient: {
        name: `manual-${protocol}`,
        kind: "qbittorrent",
        host: "127.0.0.1",
        port: 1,
        username: plant(),
        password: plant(),
      },
    });
    await clients.testDownloadClient({ id: manual.downloadClient?.id ?? "" });
    await clients.deleteDownloadClient({ id: manual.downloadClient?.id ?? "" });
    await registry.explainService({ id: own.instanceId });
    const made = await tokens.createToken({ name: "made", scopes: [1] });
    planted.add(made.token);
    await tokens.listTokens({});
    await tokens.revokeToken({ id: made.id });

    const errors = [
      await tell(registry.register({ ...own, instanceSecret: plant() })),
      await tell(registry.register({ service: own.service })),
      await tell(registry.deregister({ instanceId: own.instanceId, instanceSecret: plant() })),
      await tell(createClient(RegistryService, transportOf(protocol, plant())).register(own)),
      await tell(createClient(RegistryService, transportOf(protocol, made.token)).register(own)),
    ];
    expectNothingPlantedIn(JSON.stringify(errors));
  });

  test("secrets in every other field of a bad request", async () => {
    const transport = transportOf(protocol, await stack.token("admin"));
    const registry = createClient(RegistryService, transport);
    const clients = createClient(DownloadClientService, transport);
    const spec = (change: object) => ({ ...HAUL, service: { ...HAUL.service, ...change } });
    const errors = [
      ...[
        spec({ name: `${plant()}\u0001` }),
        spec({ type: `${plant()} ` }),
        spec({ kind: `${plant()} ` }),
        spec({ apiUrl: plant() }),
        spec({ apiUrl: `http://me:${plant()}@nas:80` }),
        spec({ apiUrl: `ftp://nas/${plant()}` }),
        spec({ apiUrl: `http://0.0.0.0/${plant()}` }),
        spec({ apiUrl: `http://nas/?apikey=${plant()}` }),
        spec({ healthUrl: `http://me:${plant()}@nas` }),
        spec({ version: `${plant()}\n` }),
        spec({ capabilities: [`${plant()} `] }),
        spec({ metadata: { [`${plant()} `]: plant() } }),
        spec({ metadata: { key: `${plant()}\u0000` } }),
        { ...HAUL, instanceId: `${plant()} ` },
        { ...HAUL, instanceSecret: plant().slice(0, 15) },
        { ...HAUL, serviceApiKey: `${plant()}\n` },
        { ...HAUL, serviceUsername: `${plant()}\n` },
        { ...HAUL, statusReason: `${plant()}`.repeat(20) },
      ].map((request) => registry.register(request)),
      registry.listServices({ type: `${plant()} ` }),
      registry.listServices({ capabilities: [`${plant()} `] }),
      registry.listServices({ pageToken: plant() }),
      clients.listDownloadClients({ kinds: [`${plant()} `] }),
      clients.createDownloadClient({
        downloadClient: { name: "x", kind: "qbittorrent", host: `${plant()} `, password: plant() },
      }),
      clients.updateDownloadClient({
        downloadClient: { id: "nobody", etag: plant(), overrides: { password: plant() } },
        updateMask: { paths: ["overrides.password"] },
      }),
    ].map(tell);
    for (const status of await Promise.all(errors)) {
      if (status?.code === "InvalidArgument") expectNothingPlantedIn(JSON.stringify(status));
      expect(status?.code).not.toBe("Internal");
    }
    const watch = async () => {
      for await (const _ of clients.watchDownloadClients({ resumeToken: plant() })) break;
    };
    expectNothingPlantedIn(JSON.stringify(await tell(watch())));
  });
});

describe("what cannot be decoded", () => {
  const path = "/pulse.v1.RegistryService/Register";

  test("is told by its place, by Connect", async () => {
    const token = await stack.token("admin");
    const bodies = [
      () => plant(),
      () => `"${plant()}"`,
      () => `{"serviceApiKey": ${plant()}}`,
      () => `{"serviceApiKey": "${plant()}" "${plant()}"}`,
      () => `{"serviceApiKey": ["${plant()}"]}`,
      () => `{"service": "${plant()}"}`,
      () => `{"service": {"metadata": {"${plant()}": ["${plant()}"]}}}`,
      () => `{"service": {"capabilities": "${plant()}"}}`,
      () => `{"requestedTtl": "${plant()}"}`,
      () => `{"status": {"${plant()}": 1}}`,
      () => `{"${plant()}": 1`,
      () => `{"instanceId": "a", "instance_id": "${plant()}"}`,
    ];
    for (const body of bodies) {
      const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
      const answer = await askRaw(stack.url, { path, headers, body: body() });
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body).message).toMatch(
        /^the request is no pulse\.v1\.RegisterRequest: (it is no JSON|its (field|JSON) )/,
      );
      expectNothingPlantedIn(answer.body);
    }
  });

  test("is told by its place, by Connect with GET, by its streams and by gRPC-Web", async () => {
    const frame = (text: string) => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(Buffer.byteLength(text), 1);
      return head.toString("latin1") + text;
    };
    const json = () => `{"type": ["${plant()}"], "kinds": "${plant()}", "resumeToken": {}}`;
    const get = `/pulse.v1.RegistryService/ListServices?encoding=json&connect=v1&message=`;
    const watch = "/pulse.v1.DownloadClientService/WatchDownloadClients";
    const post = (to: string, type: string) => ({
      path: to,
      headers: { "content-type": type },
      body: frame(json()),
    });
    const answers = [
      await askRaw(stack.url, { method: "GET", path: get + encodeURIComponent(json()) }),
      await askRaw(stack.url, post(watch, "application/connect+json")),
      await askRaw(stack.url, post(watch, "application/grpc-web+json")),
      await askRaw(
        stack.url,
        post("/pulse.v1.RegistryService/ListServices", "application/grpc-web+json"),
      ),
    ];
    for (const { body } of answers) {
      expect(decodeURIComponent(body)).toMatch(
        /no pulse\.v1\.\w+: its field pulse\.v1\.\w+\.\w+ cannot be read from JSON/,
      );
      expectNothingPlantedIn(decodeURIComponent(body));
    }
  });

  test("is not repeated as bytes, as headers or as a path either", async () => {
    for (const type of ["application/proto", "application/grpc-web+proto", "text/plain", plant()]) {
      const headers = { "content-type": type, "x-api-key": plant(), cookie: plant() };
      const { body } = await askRaw(stack.url, { path, headers, body: `\u0000${plant()}` });
      expectNothingPlantedIn(body);
    }
    for (const to of [`/${plant()}`, `${path}?key=${plant()}`, `/healthz?token=${plant()}`])
      expectNothingPlantedIn((await askRaw(stack.url, { path: to, body: plant() })).body);
  });
});

test("Haul's API refuses who has not the key that Pulse hands out for it, and lets in who has", async () => {
  const token = await stack.token();
  const clients = createClient(DownloadClientService, transportOf("gRPC", token));
  const entry = await eventually(async () => {
    const { downloadClients } = await clients.listDownloadClients({ kinds: ["haul"] });
    if (!downloadClients[0]) throw new Error("it is not there yet");
    return downloadClients[0];
  });
  const ownKey = (await readFile(join(stack.group.directory, "haul", "api.key"), "utf8")).trim();
  expect(entry.password).toBe(ownKey);
  planted.add(ownKey);
  const url = `http://${entry.host}:${entry.port}`;
  const ask = (headers: Record<string, string>) =>
    askRaw(url, { method: "GET", path: "/api/status", headers });
  for (const headers of [
    {},
    { "x-api-key": "" },
    { "x-api-key": plant() },
    { "x-api-key": `${ownKey}x` },
    { authorization: `Bearer ${ownKey.slice(1)}` },
    { "x-api-key": token },
    { "x-forwarded-for": "127.0.0.1", "x-internal": "true" },
  ])
    expect(await ask(headers)).toMatchObject({ status: 401 });
  expect((await ask({ "x-api-key": ownKey })).status).toBe(200);
});

// Last of all: it looks at what the tests above have left.
test("nothing that was planted, and no token, is in anything that Pulse and Haul have written", async () => {
  planted.add(await stack.token("admin"));
  planted.add(await stack.token("service"));
  const identity = await readFile(join(stack.group.directory, "haul", "instance.json"), "utf8");
  planted.add(JSON.parse(identity).instanceSecret);
  await haul.stop();
  await pulse.stop();
  expect(planted.size).toBeGreaterThan(100);
  expect(pulse.lines.length).toBeGreaterThan(1);
  for (const program of [pulse, haul]) {
    expectNothingPlantedIn(program.stdout);
    expectNothingPlantedIn(program.stderr);
  }
});
