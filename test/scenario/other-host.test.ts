import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { REAL_CLIENTS, type RealClient } from "../support/download-clients/real-clients.js";
import { type Manager, startManager } from "../support/manager.js";
import { versionByEntry } from "../support/manager-calls.js";
import { isMissing } from "../support/missing.js";
import { createOtherHost, isOtherHostMissing, type OtherHost } from "../support/other-host.js";
import {
  createProgramGroup,
  type ProgramGroup,
  type RunningProgram,
} from "../support/processes.js";

// Pulse on one host; Haul and the download client on another, where managers are, too.

const NAME = "box";

describe.skipIf(isOtherHostMissing())("a Pulse on another host", { timeout: 90_000 }, () => {
  let there: OtherHost;
  let group: ProgramGroup;
  let url: string;
  let manager: Manager;
  beforeEach(async () => {
    there = await createOtherHost();
    onTestFinished(() => there.close());
    group = await createProgramGroup();
    onTestFinished(() => group.stop());
    const data = join(group.directory, "pulse-data");
    const listen = ["--listen", `${there.address}:9696`, "--insecure"];
    const pulse = group.start("pulse", ["serve", ...listen, "--data", data], {}, there.enter);
    await pulse.line("pulse.listening");
    url = `http://${there.address}:9696`;
    manager = startManager({ url, token, insecure: true });
  });

  const token = async () =>
    (await readFile(join(group.directory, "pulse-data/tokens/service.token"), "utf8")).trim();

  async function startHaul(flags: readonly string[], env = {}): Promise<RunningProgram> {
    const data = join(group.directory, "haul");
    const common = ["--pulse", url, "--insecure", "--listen", "127.0.0.1:0", "--data", data];
    return group.start("haul", ["run", ...common, "--name", NAME, ...flags], {
      PULSE_TOKEN: await token(),
      ...env,
    });
  }

  async function flagsOf({ kind, url, username, password }: RealClient) {
    const file = join(group.directory, "password");
    await writeFile(file, password, { mode: 0o600 });
    const user = username === "" ? [] : ["--username", username];
    return ["--kind", kind, "--url", url, ...user, "--password-file", file];
  }

  for (const real of REAL_CLIENTS)
    it.skipIf(real.isMissing)(
      `is told where ${real.name} is reached from there, though Haul calls it on loopback`,
      async () => {
        const client = await real.start({ isOpen: true });
        await startHaul(await flagsOf(client));
        const entry = await manager.entryIs(NAME, "ONLINE", 20_000);
        expect(entry).toMatchObject({
          host: there.ourAddress,
          port: client.port,
          credentialState: CredentialState.VERIFIED,
        });
        expect(await versionByEntry(entry)).toBe(entry.version);
      },
    );

  const [qbittorrent] = REAL_CLIENTS;
  it.skipIf(qbittorrent?.isMissing)(
    "is told of no client that listens on loopback alone, and Haul says what to do",
    async () => {
      const client = await qbittorrent?.start();
      if (!client) throw new Error("one is needed");
      const haul = await startHaul(await flagsOf(client));
      expect(await haul.line("haul.client-not-reachable")).toMatchObject({
        detail: expect.stringContaining("qBittorrent listens on 127.0.0.1 only"),
      });
      await haul.stop();
      expect(haul.lines.map(({ msg }) => msg)).not.toContain("haul.registered");
    },
  );

  it.skipIf(isMissing("aria2c"))(
    "is not told of an aria2 that Haul starts, for which it says another way",
    async () => {
      const haul = await startHaul([]);
      expect(await haul.line("haul.client-not-reachable")).toMatchObject({
        detail: expect.stringMatching(/the aria2 that Haul started .* give --kind and --url/),
      });
    },
  );

  it("is not told of a Haul that nobody there could reach: it does not start", async () => {
    const haul = await startHaul([], { PATH: "" });
    expect(await haul.exit).toMatchObject({ code: 1 });
    expect(haul.stderr).toContain("Haul listens on this one only");
  });
});
