import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Health } from "../../gen/health/v1/health_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { type TestAuthority, testAuthority } from "../support/certificates.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { httpsRequest } from "../support/https-request.js";
import { HAUL, PROTOCOLS, TestPulse, type WireProtocol } from "../support/pulse.js";
import { shownFingerprint } from "../support/shown-certificate.js";
import { failure } from "../support/status.js";
import { type ClientTls, tlsTransport } from "../support/tls-transport.js";

let authority: TestAuthority;
let directory: string;
let files: { certificate: string; key: string };
beforeAll(async () => {
  authority = await testAuthority();
  directory = await mkdtemp(join(tmpdir(), "pulse-tls-"));
  files = { certificate: join(directory, "server.crt"), key: join(directory, "server.key") };
  await put(await authority.server());
});
afterAll(() => rm(directory, { recursive: true }));

async function put({ certificate, key }: { certificate: string; key: string }): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(files.key, key);
  await writeFile(files.certificate, certificate);
}

describe("Pulse in TLS", () => {
  let pulse: TestPulse;
  beforeAll(async () => {
    pulse = await TestPulse.start({ tls: files });
  });
  afterAll(() => pulse.stop());

  const trusting = (): ClientTls => ({ ca: authority.certificate });
  const transport = async (protocol: WireProtocol) =>
    tlsTransport(protocol, pulse.server.url, trusting(), await pulse.fileToken("service"));

  it("says so in its address", () => {
    expect(pulse.server.url).toBe(`https://127.0.0.1:${pulse.server.port}`);
    const listening = pulse.log.lines.find(({ msg }) => msg === "pulse.listening");
    expect(listening?.fields).toMatchObject({ url: pulse.server.url });
  });

  it.each(PROTOCOLS)("registers, lists and watches over %s", async (protocol) => {
    const over = await transport(protocol);
    const { service } = await createClient(RegistryService, over).register(HAUL);
    expect(service?.spec?.name).toBe("haul");
    const downloadClients = createClient(DownloadClientService, over);
    const { downloadClients: entries } = await downloadClients.listDownloadClients({});
    expect(entries).toMatchObject([{ password: HAUL.serviceApiKey }]);
    const caller = new AbortController();
    const watch = downloadClients.watchDownloadClients({}, { signal: caller.signal });
    const { value } = await watch[Symbol.asyncIterator]().next();
    expect(value?.event.case).toBe("snapshot");
    caller.abort();
  });

  it.each(PROTOCOLS)("wants a token over %s all the same", async (protocol) => {
    const over = tlsTransport(protocol, pulse.server.url, trusting());
    const { listServices } = createClient(RegistryService, over);
    expect(await failure(listServices({}))).toMatchObject({ code: "Unauthenticated" });
  });

  it("answers /healthz, and grpc.health.v1", async () => {
    const { status, text } = await httpsRequest(`${pulse.server.url}/healthz`, trusting());
    expect([status, JSON.parse(text)]).toEqual([200, { status: "ok", store: "ok", expiry: "ok" }]);
    const { check } = createClient(Health, tlsTransport("gRPC", pulse.server.url, trusting()));
    expect((await check({ service: "" })).status).toBe(1);
  });

  it("speaks no plain text on that port", async () => {
    await expect(fetch(`http://127.0.0.1:${pulse.server.port}/healthz`)).rejects.toThrow();
  });

  it("renews its certificate below a heartbeat stream that goes on", async () => {
    const registry = createClient(RegistryService, await transport("gRPC"));
    const { lease } = await registry.register({
      ...HAUL,
      instanceId: "",
      instanceSecret: "",
      service: { ...HAUL.service, name: "steady" },
    });
    const stream = new HeartbeatClient(registry);
    const beat = () => stream.beat({ leaseId: lease?.id ?? "" });
    expect(await beat()).toMatchObject({ case: "renewed" });

    const before = await shownFingerprint(pulse.server.port);
    await put(await authority.server());
    await eventually(async () => {
      expect(await beat()).toMatchObject({ case: "renewed" });
      expect(await shownFingerprint(pulse.server.port)).not.toBe(before);
    }, 15_000);
    expect(await beat()).toMatchObject({ case: "renewed" });
    await stream.end();
    const loaded = pulse.log.lines.filter(({ msg }) => msg === "pulse.certificate_loaded");
    expect(loaded).toHaveLength(2);
    expect(loaded[1]?.fields).toMatchObject({
      fingerprint: await shownFingerprint(pulse.server.port),
    });
  });
});

describe("Pulse with an authority of clients", () => {
  let pulse: TestPulse;
  beforeAll(async () => {
    const clientAuthority = join(directory, "clients.crt");
    await writeFile(clientAuthority, authority.certificate);
    pulse = await TestPulse.start({ tls: { ...files, clientAuthority } });
  });
  afterAll(() => pulse.stop());

  const list = async (protocol: WireProtocol, client?: { certificate: string; key: string }) => {
    const shown = client ? { cert: client.certificate, key: client.key } : {};
    const tls = { ca: authority.certificate, ...shown };
    const token = await pulse.fileToken("service");
    const over = tlsTransport(protocol, pulse.server.url, tls, token);
    return createClient(RegistryService, over).listServices({});
  };

  it.each(PROTOCOLS)(
    "answers a client that has a certificate from it, over %s",
    async (protocol) => {
      expect((await list(protocol, await authority.client("haul"))).services).toEqual([]);
    },
  );

  it.each(PROTOCOLS)("answers no other, over %s", async (protocol) => {
    await expect(list(protocol)).rejects.toThrow();
    const foreign = await (await testAuthority()).client("haul");
    await expect(list(protocol, foreign)).rejects.toThrow();
  });
});
