import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CredentialState } from "../gen/pulse/v1/download_client_pb.js";
import {
  type InstalledPackage,
  installPackage,
  readmeBlock,
  runInClone,
} from "./support/installed-package.js";
import { isMissing } from "./support/missing.js";
import { HAUL, LONG_TTL, TestPulse } from "./support/pulse.js";

// What a newcomer gets from `npm install pulse-registry`, and what the README tells them to type.

let installed: InstalledPackage;
let pulse: TestPulse;
beforeAll(async () => {
  installed = await installPackage();
  pulse = await TestPulse.start();
}, 120_000);
afterAll(async () => {
  await pulse?.stop();
  await installed?.remove();
});

async function* only<T>(item: T): AsyncGenerator<T> {
  yield item;
}

/** The environment of somebody who was given a token. */
async function asService(): Promise<Record<string, string>> {
  return { PULSE_URL: pulse.server.url, PULSE_TOKEN: await pulse.fileToken("service") };
}

const resolutions = ["node16", "bundler"] as const;

describe.each(resolutions)("with moduleResolution %s", (resolution) => {
  it("the README's service compiles, registers and stays", async () => {
    const service = await readmeBlock("service");
    const name = `pilot-${resolution}`;
    // The README's service runs until it is ended: this one says that it has come so far, and leaves.
    await installed.write(
      "service.ts",
      `${service.replace('"pilot"', `"${name}"`)}\nawait registration.close();\n`,
    );
    await installed.compile(resolution, "service.ts");
    expect(await installed.run("node", ["service.js"], await asService())).toBe(
      "registered\nclosed\n",
    );
    const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
    const { services } = await registry.listServices({ type: "media-manager" });
    expect(services.find(({ spec }) => spec?.name === name)).toMatchObject({
      statusReason: "goodbye",
      spec: { apiUrl: "http://192.168.1.20:8989" },
    });
  });

  it("the README's group compiles, and registers each of its services", async () => {
    // It runs until it is ended, too.
    await installed.write(
      "group.ts",
      `${await readmeBlock("group")}
      while (registrations.some(({ state }) => state !== "registered"))
        await new Promise((resolve) => setTimeout(resolve, 20));
      await group.close();
      `,
    );
    await installed.compile(resolution, "group.ts");
    expect(await installed.run("node", ["group.js"], await asService())).toBe(
      "registered\nregistered\nclosed\nclosed\n",
    );
    const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
    const { services } = await registry.listServices({ type: "library" });
    expect(services.map(({ spec }) => spec?.name).sort()).toEqual(["books", "music"]);
  });

  it("the README's manager compiles and watches where to log in", async () => {
    const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
    await registry.register(HAUL);
    await installed.write("manager.ts", await readmeBlock("manager"));
    await installed.compile(resolution, "manager.ts");
    expect(await installed.run("node", ["manager.js"], await asService())).toMatch(
      /^haul 192\.168\.1\.10 8080 admin$.*^1$/ms,
    );
  });

  it("the README's choice of a client compiles, takes the best one, and finds its files", async () => {
    const { registry } = pulse.clients("gRPC", await pulse.fileToken("service"));
    const instanceIds: string[] = [];
    for (const name of ["small", "large"]) {
      const client = {
        service: {
          ...{ name, type: "download-client", kind: "qbittorrent", apiUrl: `http://${name}:1` },
          downloadDirectory: "/downloads",
          pathMappings: [{ clientPath: "/downloads", managerPath: `/mnt/${name}` }],
        },
        serviceApiKey: "k",
        credentialState: CredentialState.VERIFIED,
        requestedTtl: LONG_TTL,
      };
      const { lease, service } = await registry.register(client);
      instanceIds.push(service?.instanceId ?? "");
      const load = { freeBytes: name === "large" ? 2_000n : 1_000n };
      const beat = { leaseId: lease?.id ?? "", sequence: 1n, load };
      for await (const { event } of registry.heartbeat(only(beat)))
        expect(event.case).toBe("renewed");
      await registry.register(client); // or it would be OFFLINE, since its stream has ended
    }
    await installed.write("choose.ts", await readmeBlock("choose"));
    await installed.compile(resolution, "choose.ts");
    expect(await installed.run("node", ["choose.js"], await asService())).toBe(
      "large /mnt/large/film.mkv\n",
    );
    for (const instanceId of instanceIds) await registry.deregister({ instanceId });
  });

  it("Pulse itself can be embedded, and the generated code imported", async () => {
    await installed.write(
      "embedded.ts",
      `import { startPulse } from "pulse-registry/server";
      import { RegistryService } from "pulse-registry/gen/pulse/v1/registry_service_pb";
      const log = { debug() {}, info() {}, warn() {}, error() {} };
      const listen = { host: "127.0.0.1", port: 0 };
      const server = await startPulse({ listen, dataDirectory: "./embedded-${resolution}", log });
      const response = await fetch(server.url + "/healthz");
      console.log(response.status, RegistryService.typeName);
      await server.stop();
      `,
    );
    await installed.compile(resolution, "embedded.ts");
    expect(await installed.run("node", ["embedded.js"])).toBe("200 pulse.v1.RegistryService\n");
  });
});

it("holds what it needs to run, and no test, source or secret", async () => {
  const root = join(installed.directory, "node_modules", "pulse-registry");
  expect((await readdir(root)).sort()).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "deploy",
    "dist",
    "package.json",
    "proto",
  ]);
  const files = (await readdir(root, { recursive: true })).filter((file) => !file.includes("."));
  expect(files).not.toContain("test");
});

describe("the README's commands", () => {
  /** The tokens lie where the README says. */
  const home = () => ({ HOME: installed.directory });

  it.each([
    ["in a clone", () => runInClone],
    ["where the package is installed", () => installed.run],
  ])("for the command line run %s, and find the token by themselves", async (_, where) => {
    const env = { ...home(), PULSE_DATA: pulse.dataDirectory, PULSE_URL: pulse.server.url };
    const out = await where()("sh", ["-ec", await readmeBlock("cli")], env);
    expect(out).toContain("NAME");
    expect(out).toContain('"downloadClients"');
    expect(out).toMatch(/^pulse_[0-9a-f]{16}_/m);
  });

  it.skipIf(isMissing("curl"))("for curl and buf run by reflection", async () => {
    const block = (await readmeBlock("wire"))
      .replaceAll("http://127.0.0.1:9696", pulse.server.url)
      .replace("~/.local/state/pulse", pulse.dataDirectory);
    const out = await runInClone("sh", ["-ec", block], home());
    expect(out).toContain('"downloadClient"');
    expect(out).toContain('"downloadClients":[');
  });
});
