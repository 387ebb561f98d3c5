import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMissing } from "../support/missing.js";
import { HAUL, TestPulse } from "../support/pulse.js";

// People come with tools that know nothing of Pulse: reflection must be enough for them.

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..", "..");
const BUF = join(ROOT, "node_modules", ".bin", "buf");

let pulse: TestPulse;
let token: string;
beforeAll(async () => {
  pulse = await TestPulse.start();
  token = await pulse.fileToken("service");
});
afterAll(() => pulse.stop());

async function bufCurl(method: string, request: object, ...flags: string[]) {
  const { stdout } = await run(BUF, [
    "curl",
    "--protocol",
    "grpc",
    "--http2-prior-knowledge",
    "--header",
    `authorization: Bearer ${token}`,
    ...flags,
    "--data",
    JSON.stringify(request),
    `${pulse.server.url}/${method}`,
  ]);
  return JSON.parse(stdout);
}

it.each(["grpc-v1", "grpc-v1alpha"])(
  "buf curl registers and lists over gRPC, by reflection %s",
  async (version) => {
    const request = {
      service: { ...HAUL.service, apiUrl: undefined, api_url: HAUL.service.apiUrl, name: version },
      instance_id: version,
      instance_secret: HAUL.instanceSecret,
      service_username: "admin",
      service_api_key: "the-api-key",
    };
    const flags = ["--reflect-protocol", version];
    const reply = await bufCurl("pulse.v1.RegistryService/Register", request, ...flags);
    expect(reply).toMatchObject({
      service: { instanceId: version, status: "SERVICE_STATUS_ONLINE" },
      lease: { ttl: "15s", heartbeatInterval: "5s" },
      generation: "1",
      downloadClient: { name: version },
    });
    const list = await bufCurl(
      "pulse.v1.DownloadClientService/ListDownloadClients",
      { kinds: ["qbittorrent"] },
      ...flags,
    );
    expect(list.downloadClients).toContainEqual(
      expect.objectContaining({
        name: version,
        host: "192.168.1.10",
        port: 8080,
        urlBase: "/qbt",
        username: "admin",
        password: "the-api-key",
      }),
    );
  },
);

it("buf curl watches, and sees a snapshot at once", async () => {
  const first = await new Promise<string>((resolve, reject) => {
    const method = "pulse.v1.DownloadClientService/WatchDownloadClients";
    const flags = ["--http2-prior-knowledge", "-H", `authorization: Bearer ${token}`];
    const url = `${pulse.server.url}/${method}`;
    const child = spawn(BUF, ["curl", "--protocol", "grpc", ...flags, "-d", "{}", url]);
    let out = "";
    child.once("error", reject);
    child.once("exit", () => resolve(out));
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      if (/^\}/m.test(out)) child.kill("SIGKILL");
    });
  });
  expect(JSON.parse(first.slice(0, first.search(/^\}/m) + 1))).toMatchObject({
    snapshot: { reason: "SNAPSHOT_REASON_FIRST" },
    resumeToken: expect.stringMatching(/./),
    bookmarkInterval: "5s",
  });
});

it("buf curl lists services and methods by reflection", async () => {
  const { stdout } = await run(BUF, [
    "curl",
    "--protocol",
    "grpc",
    "--http2-prior-knowledge",
    "--list-methods",
    pulse.server.url,
  ]);
  expect(stdout).toContain("pulse.v1.RegistryService/Heartbeat");
  expect(stdout).toContain("grpc.health.v1.Health/Watch");
});

it("the details of errors can be read by reflection too", async () => {
  const answer = await bufCurl("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", {
    file_containing_symbol: "google.rpc.BadRequest",
  });
  expect(answer.fileDescriptorResponse.fileDescriptorProto).not.toHaveLength(0);
});

it("buf curl checks health without a token", async () => {
  const { stdout } = await run(BUF, [
    "curl",
    "--protocol",
    "grpc",
    "--http2-prior-knowledge",
    "--data",
    '{"service": "pulse.v1.RegistryService"}',
    `${pulse.server.url}/grpc.health.v1.Health/Check`,
  ]);
  expect(JSON.parse(stdout)).toEqual({ status: "SERVING" });
});

describe.skipIf(isMissing("curl"))("curl over Connect JSON", () => {
  async function curl(method: string, body: string) {
    const headers = [`authorization: Bearer ${token}`, "content-type: application/json"];
    const flags = headers.flatMap((header) => ["-H", header]);
    const url = `${pulse.server.url}/${method}`;
    const { stdout } = await run("curl", ["-s", ...flags, "-d", body, url]);
    return JSON.parse(stdout);
  }

  it("lists", async () => {
    const list = await curl("pulse.v1.DownloadClientService/ListDownloadClients", "{}");
    expect(list).toMatchObject({ revision: expect.any(String) });
  });

  it("sees an error with its reason and field", async () => {
    const error = await curl("pulse.v1.RegistryService/ListServices", '{"pageSize": 5000}');
    expect(error).toMatchObject({ code: "invalid_argument" });
    expect(error.message).toContain("page_size");
    expect(error.details.map(({ type }: { type: string }) => type)).toEqual([
      "google.rpc.ErrorInfo",
      "google.rpc.BadRequest",
    ]);
  });
});
