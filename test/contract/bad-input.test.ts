import { connect } from "node:net";
import { Client, credentials, Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Availability, CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import type { DownloadClientOrder } from "../../gen/pulse/v1/download_client_service_pb.js";
import { type Clients, HAUL, PROTOCOLS, Scope, TestPulse } from "../support/pulse.js";
import { failure } from "../support/status.js";

const MAPPING = { clientPath: "/downloads", managerPath: "/data" };

let pulse: TestPulse;
beforeAll(async () => {
  pulse = await TestPulse.start();
});
afterAll(() => pulse.stop());

describe.each(PROTOCOLS)("over %s", (protocol) => {
  let clients: Clients;
  beforeAll(async () => {
    clients = pulse.clients(protocol, await pulse.fileToken("admin"));
  });

  const spec = (change: object) => ({ ...HAUL, service: { ...HAUL.service, ...change } });

  it.each<[string, object, string]>([
    ["no service", { instanceId: "x" }, "service"],
    ["no name", spec({ name: "" }), "service.name"],
    ["a control character in the name", spec({ name: "a\u0001" }), "service.name"],
    ["a name too long", spec({ name: "x".repeat(200) }), "service.name"],
    ["no type", spec({ type: "" }), "service.type"],
    ["no kind", spec({ kind: "" }), "service.kind"],
    ["no api_url", spec({ apiUrl: "" }), "service.api_url"],
    ["an unspecified address", spec({ apiUrl: "http://0.0.0.0:80" }), "service.api_url"],
    ["an unspecified IPv6 address", spec({ apiUrl: "http://[::]:80" }), "service.api_url"],
    ["user-info", spec({ apiUrl: "http://u:p@nas" }), "service.api_url"],
    ["ftp", spec({ apiUrl: "ftp://nas" }), "service.api_url"],
    ["no URL at all", spec({ apiUrl: "nas" }), "service.api_url"],
    [
      "a TTL too short",
      { ...HAUL, requestedTtl: { seconds: 4n, nanos: 999_000_000 } },
      "requested_ttl",
    ],
    ["a TTL too long", { ...HAUL, requestedTtl: { seconds: 301n, nanos: 0 } }, "requested_ttl"],
    ["a negative TTL", { ...HAUL, requestedTtl: { seconds: -10n, nanos: 0 } }, "requested_ttl"],
    [
      "an absurd TTL",
      { ...HAUL, requestedTtl: { seconds: 315_576_000_000n, nanos: 0 } },
      "requested_ttl",
    ],
    ["an instance id with spaces", { ...HAUL, instanceId: "a b" }, "instance_id"],
    ["a short secret", { ...HAUL, instanceSecret: "short" }, "instance_secret"],
    ["a secret for nobody", { ...HAUL, instanceId: "" }, "instance_secret"],
    ["a huge API key", { ...HAUL, serviceApiKey: "x".repeat(4_097) }, "service_api_key"],
    ["a line break in the API key", { ...HAUL, serviceApiKey: "a\nb" }, "service_api_key"],
    ["a huge user name", { ...HAUL, serviceUsername: "x".repeat(257) }, "service_username"],
    ["status PENDING", { ...HAUL, status: 4 }, "status"],
    ["an unknown status", { ...HAUL, status: 99 }, "status"],
    ["an unknown credential state", { ...HAUL, credentialState: 99 }, "credential_state"],
    ["an unknown protocol", spec({ protocol: 99 }), "service.protocol"],
    [
      "a huge directory",
      spec({ downloadDirectory: "x".repeat(1_025) }),
      "service.download_directory",
    ],
    ["too many mappings", spec({ pathMappings: Array(33).fill(MAPPING) }), "service.path_mappings"],
    [
      "a directory mapped twice",
      spec({ pathMappings: [MAPPING, { ...MAPPING, clientPath: "/downloads/" }] }),
      "service.path_mappings[1].client_path",
    ],
    [
      "a relative path of a manager",
      spec({ pathMappings: [{ ...MAPPING, managerPath: "data" }] }),
      "service.path_mappings[0].manager_path",
    ],
    [
      "a mapping of nothing",
      spec({ pathMappings: [MAPPING, { managerPath: "/data" }] }),
      "service.path_mappings[1].client_path",
    ],
  ])("Register with %s names the field and changes nothing", async (_, request, field) => {
    const { revision } = await clients.registry.listServices({});
    expect(await failure(clients.registry.register(request))).toMatchObject({
      code: "InvalidArgument",
      reason: "FIELD_INVALID",
      fields: [field],
    });
    expect((await clients.registry.listServices({})).revision).toBe(revision);
  });

  it("Register with many bad fields names all of them at once", async () => {
    const request = {
      ...spec({ name: "", type: "X" }),
      instanceId: "a b",
      serviceApiKey: "a\nb",
      requestedTtl: { seconds: 1n, nanos: 0 },
      status: 4,
    };
    expect((await failure(clients.registry.register(request))).fields).toEqual([
      "service.name",
      "service.type",
      "instance_id",
      "service_api_key",
      "requested_ttl",
      "status",
    ]);
  });

  it("an error never repeats a secret", async () => {
    const secret = "S3CRET-S3CRET-S3CRET\u0001";
    const requests = [
      { ...HAUL, serviceApiKey: secret },
      { ...HAUL, instanceSecret: secret },
      { ...HAUL, service: { ...HAUL.service, apiUrl: "http://u:S3CRET-S3CRET@nas" } },
    ];
    for (const request of requests)
      expect((await failure(clients.registry.register(request))).message).not.toContain("S3CRET");
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ["GetService without id", () => clients.registry.getService({}), "id"],
    ["Deregister without instance", () => clients.registry.deregister({}), "instance_id"],
    ["a page too large", () => clients.registry.listServices({ pageSize: 1_001 }), "page_size"],
    [
      "a page token that is none",
      () => clients.registry.listServices({ pageToken: "x" }),
      "page_token",
    ],
    [
      "an unknown filter value",
      () => clients.downloadClients.listDownloadClients({ availabilities: [9 as Availability] }),
      "availabilities[0]",
    ],
    [
      "an unknown credential state to filter by",
      () =>
        clients.downloadClients.listDownloadClients({
          credentialStates: [CredentialState.VERIFIED, 9 as CredentialState],
        }),
      "credential_states[1]",
    ],
    [
      "too many credential states",
      () =>
        clients.downloadClients.listDownloadClients({
          credentialStates: Array.from({ length: 65 }, () => CredentialState.VERIFIED),
        }),
      "credential_states",
    ],
    [
      "an unknown order",
      () => clients.downloadClients.listDownloadClients({ order: 9 as DownloadClientOrder }),
      "order",
    ],
    ["a token without name", () => clients.tokens.createToken({ scopes: [Scope.ADMIN] }), "name"],
    ["a token without scopes", () => clients.tokens.createToken({ name: "x" }), "scopes"],
    [
      "a token with an unknown scope",
      () => clients.tokens.createToken({ name: "x", scopes: [Scope.ADMIN, 77 as Scope] }),
      "scopes[1]",
    ],
    [
      "a token with no scope in its list",
      () => clients.tokens.createToken({ name: "x", scopes: [Scope.UNSPECIFIED] }),
      "scopes[0]",
    ],
    ["RevokeToken without id", () => clients.tokens.revokeToken({}), "id"],
  ])("%s names the field", async (_, call, field) => {
    expect(await failure(call())).toMatchObject({ code: "InvalidArgument", fields: [field] });
  });

  it("an unknown token id is NOT_FOUND", async () => {
    expect(await failure(clients.tokens.revokeToken({ id: "none" }))).toMatchObject({
      code: "NotFound",
      reason: "NOT_FOUND",
    });
  });

  it("a message over 4 MiB is refused, and the next call succeeds", async () => {
    const huge = { ...HAUL, serviceApiKey: "x".repeat(5 * 1_024 * 1_024) };
    expect((await failure(clients.registry.register(huge))).code).toBe("ResourceExhausted");
    await clients.registry.listServices({});
  });
});

describe("bytes that are no message, over gRPC", () => {
  const bytes = Buffer.from([0xff, 0xff, 0xff, 0xff]);
  const channel = () =>
    new Client(pulse.server.url.slice("http://".length), credentials.createInsecure());
  const metadata = async () => {
    const made = new Metadata();
    made.set("authorization", `Bearer ${await pulse.fileToken("service")}`);
    return made;
  };
  const asIs = (message: Buffer) => message;

  it("are INVALID_ARGUMENT in a unary call", async () => {
    const client = channel();
    const sent = await metadata();
    const error = await new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest(
        "/pulse.v1.RegistryService/Register",
        asIs,
        asIs,
        bytes,
        sent,
        resolve,
      ),
    );
    client.close();
    expect(error).toMatchObject({ code: 3, details: expect.stringContaining("RegisterRequest") });
  });

  it("are INVALID_ARGUMENT on a stream, and end it", async () => {
    const client = channel();
    const path = "/pulse.v1.RegistryService/Heartbeat";
    const call = client.makeBidiStreamRequest(path, asIs, asIs, await metadata());
    call.on("error", () => {});
    call.on("data", () => {});
    const status = new Promise<StatusObject>((resolve) => call.on("status", resolve));
    call.write(bytes);
    expect(await status).toMatchObject({
      code: 3,
      details: expect.stringContaining("HeartbeatRequest"),
    });
    client.close();
  });
});

describe("on the port", () => {
  /** Sends bytes, and returns what came back until the other end closed. */
  function send(bytes: string | Buffer, halfClose = false): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(pulse.server.port, "127.0.0.1", () => {
        socket.write(bytes);
        if (halfClose) socket.end();
      });
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
    });
  }
  const isAlive = async () => (await fetch(`${pulse.server.url}/healthz`)).status === 200;

  it("garbage is answered or closed, and harms nobody", async () => {
    expect(await send(Buffer.from([0, 1, 2, 255, 254, 13, 10, 13, 10]))).toMatch(
      /^(HTTP\/1.1 400|$)/,
    );
    expect(await isAlive()).toBe(true);
  });

  it("half a preface is closed, and harms nobody", async () => {
    await send("PRI * HTTP/2.0\r\n\r\nSM", true);
    expect(await isAlive()).toBe(true);
  });

  it("garbage after a whole preface is closed, and harms nobody", async () => {
    await send(
      Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.alloc(64, 0xff)]),
    );
    expect(await isAlive()).toBe(true);
  });

  it("gRPC content over HTTP/1.1 is refused with a hint", async () => {
    const response = await fetch(`${pulse.server.url}/pulse.v1.RegistryService/Register`, {
      method: "POST",
      headers: { "content-type": "application/grpc" },
      body: "",
    });
    expect(response.status).toBe(415);
  });

  it("an unknown path is 404", async () => {
    expect((await fetch(`${pulse.server.url}/nothing`)).status).toBe(404);
  });
});
