import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  NEWER_CLIENTS,
  REAL_CLIENTS,
  type RealClient,
  type RealKind,
  type Release,
} from "../support/download-clients/real-clients.js";
import { startManager } from "../support/manager.js";
import { versionByEntry } from "../support/manager-calls.js";
import { Stack } from "../support/stack.js";

// `haul detect` beside real download clients, and a Haul with what it has written.

/** Where each kind has its configuration: in the directory of a test, and in a home. */
const CONFIGURATIONS: Readonly<Record<RealKind, readonly [string, string]>> = {
  aria2: ["aria2.conf", ".aria2/aria2.conf"],
  deluge: ["web.conf", ".config/deluge/web.conf"],
  nzbget: ["nzbget.conf", ".nzbget"],
  qbittorrent: ["qBittorrent/config/qBittorrent.conf", ".config/qBittorrent/qBittorrent.conf"],
  sabnzbd: ["sabnzbd.ini", ".sabnzbd/sabnzbd.ini"],
  transmission: ["settings.json", ".config/transmission-daemon/settings.json"],
};
/** Of these nobody can read the password. */
const HASHED: readonly RealKind[] = ["deluge", "qbittorrent", "transmission"];

async function linkConfiguration({ kind, directory }: RealClient, home: string): Promise<void> {
  const [from, to] = CONFIGURATIONS[kind];
  await mkdir(dirname(join(home, to)), { recursive: true });
  await symlink(join(directory, from), join(home, to));
}

for (const release of ["installed", "trixie"] satisfies Release[]) {
  const cases = [...REAL_CLIENTS, ...NEWER_CLIENTS].filter((each) => each.release === release);
  const here = cases.filter(({ isMissing }) => !isMissing);
  describe.skipIf(here.length === 0)(
    `beside the download clients that are ${release}`,
    { timeout: 120_000 },
    () => {
      it("what detect writes is a configuration, once the passwords that it cannot know are filled in", async () => {
        const stack = await Stack.create();
        onTestFinished(() => stack.stop());
        const { group } = stack;
        const clients = await Promise.all(here.map((each) => each.start()));
        for (const client of clients) await linkConfiguration(client, group.directory);
        const file = join(group.directory, "etc", "haul.yaml");

        const { code, stdout, stderr } = await group.run("haul", [
          ...["detect", "--yes", "--output", file],
        ]);
        expect([code, stderr]).toEqual([0, expect.stringContaining(`Wrote ${file}`)]);
        for (const { kind, url, password } of clients) {
          expect(stdout).toMatch(new RegExp(`${kind} +${url}`));
          expect(stdout + stderr).not.toContain(password);
        }
        expect((await stat(file)).mode & 0o777).toBe(0o600);

        const text = await readFile(file, "utf8");
        expect(text.match(/enabled: false/g) ?? []).toHaveLength(
          clients.filter(({ kind }) => HASHED.includes(kind)).length,
        );
        for (const { kind, password } of clients)
          if (HASHED.includes(kind))
            await writeFile(join(dirname(file), "secrets", kind), password, { mode: 0o600 });
        await writeFile(file, text.replaceAll("enabled: false", "enabled: true"));

        await stack.startPulse();
        const manager = startManager(stack);
        await stack.startHaul("haul", ["--config", file]);
        for (const { kind } of clients) {
          const entry = await manager.entryIs(kind, "ONLINE", 20_000);
          expect(await versionByEntry(entry)).toBe(entry.version);
        }
        // An aria2 without a word counts as refused, and bans nobody.
        for (const client of clients.filter(({ kind }) => kind !== "aria2"))
          expect([client.kind, (await client.refusedLogins()) ?? 0]).toEqual([client.kind, 0]);
      });
    },
  );
}
