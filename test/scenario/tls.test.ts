import { X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { testAuthority } from "../support/certificates.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { httpsRequest } from "../support/https-request.js";
import type { RunningProgram } from "../support/processes.js";
import { HAUL } from "../support/pulse.js";
import { shownFingerprint } from "../support/shown-certificate.js";
import { Stack } from "../support/stack.js";
import { tlsTransport } from "../support/tls-transport.js";

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
  onTestFinished(() => stack.stop());
});

/** `pulse tls ARGS --json`, parsed. */
async function tls(...args: string[]) {
  const all = ["tls", ...args, "--data", stack.dataDirectory, "--json"];
  const { code, stdout, stderr } = await stack.group.run("pulse", all);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const httpsUrl = () => `https://127.0.0.1:${stack.port}`;
const authority = () => readFile(join(stack.dataDirectory, "tls", "ca.crt"), "utf8");
const loaded = (pulse: RunningProgram) =>
  pulse.lines.filter(({ msg }) => msg === "pulse.certificate_loaded");

async function registry(client: { certificate?: string; key?: string } = {}) {
  const shown =
    client.certificate && client.key
      ? {
          cert: await readFile(client.certificate, "utf8"),
          key: await readFile(client.key, "utf8"),
        }
      : {};
  const of = { ca: await authority(), ...shown };
  return createClient(RegistryService, tlsTransport("gRPC", httpsUrl(), of, await stack.token()));
}

describe("pulse tls init, and pulse serve", () => {
  it("serve TLS that a client with the authority takes, and no other", async () => {
    const made = await tls("init", "--name", "pulse.home", "10.0.0.9");
    expect(made.authority.new).toBe(true);
    expect(made.server.names).toEqual(
      expect.arrayContaining(["pulse.home", "10.0.0.9", "localhost", "127.0.0.1", "::1"]),
    );
    const pulse = await stack.startPulse();
    const listening = await pulse.line("pulse.listening");
    expect(listening.url).toBe(httpsUrl());
    expect((await (await registry()).register(HAUL)).generation).toBe(1n);
    expect(await shownFingerprint(stack.port)).toBe(made.server.fingerprint);
    const { status } = await httpsRequest(`${httpsUrl()}/healthz`, { ca: await authority() });
    expect(status).toBe(200);
    const { certificate: ca } = await testAuthority();
    await expect(httpsRequest(`${httpsUrl()}/healthz`, { ca })).rejects.toThrow();
    const all = pulse.stdout + pulse.stderr;
    expect(all).not.toContain("PRIVATE KEY");
    expect((await pulse.stop()).code).toBe(0);
  });

  it("serve beyond loopback without --insecure", async () => {
    await tls("init");
    const args = ["serve", "--listen", "0.0.0.0:0", "--data", stack.dataDirectory];
    const pulse = stack.group.start("pulse", args);
    expect((await pulse.line("pulse.listening")).url).toMatch(/^https:\/\/0\.0\.0\.0:\d+$/);
  });

  it("let only clients in that `pulse tls issue` has made a certificate for", async () => {
    await tls("init");
    const { client, authority: ca } = await tls("issue", "--name", "haul on nas");
    await stack.startPulse({ PULSE_CLIENT_CA: ca });
    expect((await (await registry(client)).listServices({})).services).toEqual([]);
    await expect((await registry()).listServices({})).rejects.toThrow();
    const { key } = client;
    const elsewhere = await tls("issue", "--name", "x", "--out", stack.group.directory);
    expect([key, elsewhere.client.key]).toEqual([
      join(stack.dataDirectory, "tls", "clients", "haul%20on%20nas.key"),
      join(stack.group.directory, "x.key"),
    ]);
  });

  it("say what to do on a terminal", async () => {
    const data = stack.dataDirectory;
    const init = await stack.group.run("pulse", [
      "tls",
      "init",
      "--name",
      "pulse.home",
      "--data",
      data,
    ]);
    expect(init.stdout).toContain(join(data, "tls", "ca.crt"));
    expect(init.stdout).toMatch(/SHA-256 fingerprint ([0-9A-F]{2}:){31}[0-9A-F]{2}\n/);
    expect(init.stdout).toContain(`pulse serve --listen 0.0.0.0:9696 --data ${data}\n`);
    expect(init.stdout).toContain("--pulse https://pulse.home:9696 --ca ca.crt\n");
    const issue = await stack.group.run("pulse", ["tls", "issue", "--name", "a", "--data", data]);
    expect(issue.stdout).toContain(`--client-ca ${join(data, "tls", "ca.crt")}\n`);
    expect(init.stdout + issue.stdout).not.toContain("PRIVATE");
  });
});

describe("pulse tls init again", () => {
  it("renews from the same authority, with the names there were, below a stream that goes on", async () => {
    const first = await tls("init", "--name", "pulse.home");
    const ca = await authority();
    const pulse = await stack.startPulse();
    const client = await registry();
    const { lease } = await client.register(HAUL);
    const stream = new HeartbeatClient(client);
    const beat = () => stream.beat({ leaseId: lease?.id ?? "" });
    expect(await beat()).toMatchObject({ case: "renewed" });

    const second = await tls("init");
    expect(second.authority.new).toBe(false);
    expect(await authority()).toBe(ca);
    expect(second.server.fingerprint).not.toBe(first.server.fingerprint);
    expect(second.server.names).toContain("pulse.home");
    await eventually(async () =>
      expect(await shownFingerprint(stack.port)).toBe(second.server.fingerprint),
    );
    expect(await beat()).toMatchObject({ case: "renewed" });
    expect(loaded(pulse)).toHaveLength(2);
    expect(pulse.lines.filter(({ msg }) => msg === "pulse.certificate_kept")).toEqual([]);
    await stream.end();
  });
});

describe("SIGHUP", () => {
  it("makes a Pulse with TLS read its files at once, and does not stop it nor a stream", async () => {
    await tls("init");
    const pulse = await stack.startPulse();
    const client = await registry();
    const { lease } = await client.register(HAUL);
    const stream = new HeartbeatClient(client);
    expect(await stream.beat({ leaseId: lease?.id ?? "" })).toMatchObject({ case: "renewed" });
    const seen = pulse.lines.length;
    pulse.kill("SIGHUP");
    await pulse.line("pulse.certificate_loaded", seen); // unchanged: nothing else would read them

    const broken = pulse.lines.length;
    await writeFile(join(stack.dataDirectory, "tls", "server.key"), "half a key");
    pulse.kill("SIGHUP");
    await eventually(() => {
      const kept = pulse.lines
        .slice(broken)
        .find(({ msg }) => `${msg}`.startsWith("pulse.certificate_kept"));
      expect(kept?.msg).toMatch(
        /server\.key holds no whole private key in PEM: give one that does$/,
      );
    });
    expect(await stream.beat({ leaseId: lease?.id ?? "" })).toMatchObject({ case: "renewed" });
    expect((await (await registry()).listServices({})).services).toHaveLength(1);
    await stream.end();
    expect((await pulse.stop()).code).toBe(0);
  });

  it("stops a Pulse in plain text, as the end of its terminal does", async () => {
    const pulse = await stack.startPulse();
    pulse.kill("SIGHUP");
    expect(await pulse.exit).toEqual({ code: 0, signal: null });
  });
});

describe("pulse serve refuses in one sentence", () => {
  async function refusal(args: readonly string[]): Promise<string> {
    const all = ["serve", "--listen", "127.0.0.1:0", "--data", stack.dataDirectory, ...args];
    const { code, stdout, stderr } = await stack.group.run("pulse", all);
    expect([code === 0, stdout]).toEqual([false, ""]);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    return stderr;
  }

  it("a certificate without a key, clients' authorities without TLS, and files that are not there", async () => {
    expect(await refusal(["--tls-cert", "x.crt"])).toContain(
      "--tls-cert and --tls-key belong together",
    );
    expect(await refusal(["--client-ca", "ca.crt"])).toContain("needs TLS: run `pulse tls init`");
    const missing = ["--tls-cert", "/nowhere/x.crt", "--tls-key", "/nowhere/x.key"];
    expect(await refusal(missing)).toContain("there is no certificate /nowhere/x.crt: check");
  });

  it("files of `pulse tls init` that do not fit, and does not go on in plain text", async () => {
    await tls("init");
    const other = await (await testAuthority()).server();
    await writeFile(join(stack.dataDirectory, "tls", "server.key"), other.key);
    expect(await refusal([])).toContain("does not belong to the certificate");
  });
});

it("a certificate of `pulse tls issue` is none for a server", async () => {
  await tls("init");
  const { client } = await tls("issue", "--name", "a");
  const { keyUsage } = new X509Certificate(await readFile(client.certificate));
  expect(keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
});
