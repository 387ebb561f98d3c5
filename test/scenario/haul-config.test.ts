import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { CredentialState, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { toManagerPath } from "../../src/client/index.js";
import { REAL_CLIENTS, type RealClient } from "../support/download-clients/real-clients.js";
import { eventually } from "../support/eventually.js";
import { type Manager, startManager } from "../support/manager.js";
import { versionByEntry } from "../support/manager-calls.js";
import type { RunningProgram } from "../support/processes.js";
import { Stack } from "../support/stack.js";

// One Haul, one file, and every kind of download client that is installed here.

const INSTALLED = REAL_CLIENTS.filter(({ isMissing }) => !isMissing);
/** A change is seen by the second look, and then the client is asked. */
const TAKEN_MS = 20_000;

let stack: Stack;
let manager: Manager;
beforeEach(async () => {
  stack = await Stack.create();
  onTestFinished(() => stack.stop());
  await stack.startPulse();
  manager = startManager(stack);
});

const directory = () => join(stack.group.directory, "etc");
const file = () => join(directory(), "haul.yaml");

/** The lines of a client, whose secret is in a file beside the configuration. */
async function linesOf(
  { kind, url, username, password }: RealClient,
  name: string = kind,
  more = "",
) {
  await mkdir(join(directory(), "secrets"), { recursive: true });
  await writeFile(join(directory(), "secrets", name), `${password}\n`, { mode: 0o600 });
  return `
  - name: ${name}
    kind: ${kind}
    url: ${url}
    ${username ? `username: ${username}` : ""}
    password_file: secrets/${name}
    ${more}`;
}

/** Written elsewhere and put there, as editors and programs do. */
async function write(clients: readonly string[]): Promise<void> {
  await mkdir(directory(), { recursive: true });
  await writeFile(`${file()}.new`, `clients:${clients.join("")}\n`);
  await rename(`${file()}.new`, file());
}

const startHaul = (): Promise<RunningProgram> => stack.startHaul("haul", ["--config", file()]);
const names = async () => [...(await stack.entries()).keys()].sort();

describe.skipIf(INSTALLED.length < 2)(
  "a Haul with a configuration file",
  { timeout: 120_000 },
  () => {
    it("registers all of them, each with a lease and an identity of its own", async () => {
      const clients = await Promise.all(INSTALLED.map((real) => real.start()));
      await write(await Promise.all(clients.map((client) => linesOf(client))));
      const haul = await startHaul();
      const entries: DownloadClient[] = [];
      for (const { kind } of clients) entries.push(await manager.entryIs(kind, "ONLINE", TAKEN_MS));
      for (const entry of entries) expect(await versionByEntry(entry)).toBe(entry.version);
      expect(new Set(entries.map(({ serviceId }) => serviceId)).size).toBe(clients.length);
      for (const { password } of clients) expect(haul.stdout).not.toContain(password);

      const [gone, ...others] = clients;
      await gone?.kill();
      await manager.entryIs(gone?.kind ?? "", "OFFLINE", TAKEN_MS);
      for (const { kind } of others) await manager.entryIs(kind, "ONLINE");
      await haul.stop();
      for (const { kind } of others) await manager.entryIs(kind, "OFFLINE");
    });

    it("takes what is changed in it, without a restart and at once when it is told to", async () => {
      const [first, second] = INSTALLED;
      const [a, b] = await Promise.all([first?.start(), second?.start()]);
      if (!a || !b) throw new Error("two are needed");
      await write([await linesOf(a, "a")]);
      const haul = await startHaul();
      const before = await manager.entryIs("a", "ONLINE", TAKEN_MS);

      const mapping = "path_mappings: [{ client: /downloads, manager: /data/downloads }]";
      await write([await linesOf(a, "a", mapping), await linesOf(b, "b")]);
      await manager.entryIs("b", "ONLINE", TAKEN_MS);
      const mapped = await eventually(async () => {
        const entry = (await stack.entries()).get("a");
        expect(entry?.pathMappings).toHaveLength(1);
        return entry as DownloadClient;
      });
      expect(mapped.id).toBe(before.id);
      expect(toManagerPath(mapped, "/downloads/tv/x")).toBe("/data/downloads/tv/x");

      await writeFile(file(), "clients: [\n");
      await haul.line("haul.config-kept");
      expect(await names()).toEqual(["a", "b"]);

      await write([await linesOf(b, "b")]);
      haul.kill("SIGHUP");
      await eventually(async () => expect(await names()).toEqual(["b"]));
      await haul.stop();
    });

    it("takes a secret that is changed in its file: one log-in is refused, and no restart is needed", async () => {
      const [client] = await Promise.all(INSTALLED.slice(0, 1).map((real) => real.start()));
      if (!client) throw new Error("one is needed");
      await write([await linesOf(client, "a")]);
      await startHaul();
      await manager.entryIs("a", "ONLINE", TAKEN_MS);
      await client.changePassword("another password");
      const refused = await manager.entryIs("a", "DEGRADED", 45_000);
      expect(refused.credentialState).toBe(CredentialState.REJECTED);
      await linesOf(client, "a");
      const mended = await manager.entryIs("a", "ONLINE", TAKEN_MS);
      expect(mended).toMatchObject({
        credentialState: CredentialState.VERIFIED,
        password: client.password,
      });
      expect([undefined, 1]).toContain(await client.refusedLogins());
    });
  },
);

describe("a configuration that cannot be used", () => {
  it("is told with every line that is wrong, and nothing starts", async () => {
    await mkdir(directory(), { recursive: true });
    await writeFile(file(), "clients:\n  - name: a\n    kind: aria\n    url: nas\n");
    const { code, stderr } = await stack.group.run("haul", ["run", "--config", file()]);
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toEqual([
      expect.stringMatching(new RegExp(`^haul: ${file()}:3:11: clients\\[0\\]\\.kind: .*aria2`)),
      expect.stringMatching(new RegExp(`^haul: ${file()}:4:10: clients\\[0\\]\\.url: .*http`)),
    ]);
  });

  it("beside flags for one client is wrong usage", async () => {
    const flags = ["--kind", "aria2", "--url", "http://127.0.0.1:6800"];
    const { code, stderr } = await stack.group.run("haul", ["run", "--config", file(), ...flags]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("leave out --kind, --url")]);
  });
});
