import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CredentialState, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { startAria2, startQBittorrent } from "../support/download-clients/real-clients.js";
import { eventually } from "../support/eventually.js";
import { versionByEntry } from "../support/manager-calls.js";
import { isMissing } from "../support/missing.js";
import { freePort, Stack } from "../support/stack.js";

// Real download clients, and a manager that knows only what the list says.

/** Two probes, the second after a backoff, with a busy machine in mind. */
const NOTICED_MS = 30_000;
const TEST_TIMEOUT = { timeout: 90_000 };

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
});
afterEach(() => stack.stop());

/** Where nobody reaps orphans they stay as zombies, which are dead all the same. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Processes of this host in whose arguments or environment `secret` shows. */
function processesThatShow(secret: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) =>
      ["cmdline", "environ"].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, "latin1").includes(secret);
        } catch {
          return false; // it has ended, or is not ours
        }
      }),
    );
}

describe.skipIf(isMissing("qbittorrent-nox"))("qBittorrent", TEST_TIMEOUT, () => {
  const USER = { username: "me", password: "plain-secret & +more" };

  const haulArgs = (url: string) => ["--kind", "qbittorrent", "--url", url];
  const haulEnv = (password: string) => ({ HAUL_USERNAME: USER.username, HAUL_PASSWORD: password });

  it("is listed with what a manager needs to log in", async () => {
    const [client] = await Promise.all([startQBittorrent(USER), stack.startPulse()]);
    const haul = await stack.startHaul("haul", haulArgs(client.url), haulEnv(USER.password));
    const entry = await stack.entryIs("haul", "ONLINE");
    expect(entry).toMatchObject({
      kind: "qbittorrent",
      credentialState: CredentialState.VERIFIED,
      username: USER.username,
      password: USER.password,
    });
    expect(await versionByEntry(entry)).toBe(entry.version);
    expect(haul.stdout).not.toContain(USER.password);
  });

  it("with a wrong password is not registered, and bans nobody", async () => {
    const [client] = await Promise.all([startQBittorrent(USER), stack.startPulse()]);
    const haul = await stack.startHaul("haul", haulArgs(client.url), haulEnv("plain-wrong"));
    const { detail } = await haul.line("haul.client-authentication-failed");
    expect(detail).toContain("until its configuration or its secret changes");
    await new Promise((resolve) => setTimeout(resolve, 5_000)); // longer than the first backoffs
    expect(await client.refusedLogins()).toBe(1);
    expect((await stack.entries()).size).toBe(0);
    expect(haul.stdout).not.toContain("plain-wrong");
    await haul.stop();

    await stack.startHaul("haul", haulArgs(client.url), haulEnv(USER.password));
    const entry = await stack.entryIs("haul", "ONLINE");
    expect(entry.credentialState).toBe(CredentialState.VERIFIED);
  });

  it("killed is OFFLINE, and ONLINE when it is back", async () => {
    const [client] = await Promise.all([startQBittorrent(USER), stack.startPulse()]);
    await stack.startHaul("haul", haulArgs(client.url), haulEnv(USER.password));
    const before = await stack.entryIs("haul", "ONLINE");
    await client.kill();
    const offline = await stack.entryIs("haul", "OFFLINE", NOTICED_MS);
    expect(offline.availabilityReason).toBe("download client unreachable");
    await client.start();
    const back = await stack.entryIs("haul", "ONLINE", NOTICED_MS);
    expect(back.id).toBe(before.id);
    expect(await versionByEntry(back)).toBe(back.version);
  });
});

describe.skipIf(isMissing("aria2c"))("aria2", TEST_TIMEOUT, () => {
  const secretOf = async (state: string) =>
    (await readFile(join(stack.group.directory, state, "aria2.secret"), "utf8")).trim();
  const pidOf = (line: Readonly<Record<string, unknown>>) => Number(line.pid);

  it("that comes later than Haul is registered when it is there", async () => {
    await stack.startPulse();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const args = ["--kind", "aria2", "--url", url];
    const haul = await stack.startHaul("haul", args, { HAUL_API_KEY: "an-rpc-secret" });
    await haul.line("haul.client-unreachable");
    expect((await stack.entries()).size).toBe(0);
    await startAria2({ port, password: "an-rpc-secret" });
    const entry = await stack.entryIs("haul", "ONLINE", NOTICED_MS);
    expect(await versionByEntry(entry)).toBe(entry.version);
  });

  it("of Haul's own is listed with a secret that shows nowhere, kept across restarts", async () => {
    await stack.startPulse();
    const haul = await stack.startHaul("haul");
    const pid = pidOf(await haul.line("haul.aria2-started"));
    const entry = await stack.entryIs("haul", "ONLINE");
    const secret = await secretOf("haul");
    expect(entry).toMatchObject({
      kind: "aria2",
      host: "127.0.0.1",
      password: secret,
      credentialState: CredentialState.VERIFIED,
    });
    expect(await versionByEntry(entry)).toBe(entry.version);
    expect(processesThatShow(secret)).toEqual([]);
    expect(haul.stdout + haul.stderr).not.toContain(secret);
    expect(await freeBytesOf(entry)).toBeGreaterThan(0n);

    expect(await haul.stop()).toEqual({ code: 0, signal: null });
    expect(isAlive(pid)).toBe(false);
    await stack.startHaul("haul");
    const again = await stack.entryIs("haul", "ONLINE");
    expect([again.id, again.password]).toEqual([entry.id, secret]);
    expect(await versionByEntry(again)).toBe(again.version);
  });

  it("of Haul's own goes with a Haul that is killed", async () => {
    const haul = await stack.startHaul("haul");
    const pid = pidOf(await haul.line("haul.aria2-started"));
    expect(isAlive(pid)).toBe(true);
    haul.kill("SIGKILL");
    await eventually(() => expect(isAlive(pid)).toBe(false), 15_000);
  });

  it("of Haul's own is started again when it dies", async () => {
    await stack.startPulse();
    const haul = await stack.startHaul("haul");
    const first = pidOf(await haul.line("haul.aria2-started"));
    const before = await stack.entryIs("haul", "ONLINE");
    const seen = haul.lines.length;
    process.kill(first, "SIGKILL");
    const second = pidOf(await haul.line("haul.aria2-started", seen));
    expect(second).not.toBe(first);
    const entry = await eventually(async () => {
      const entry = await stack.entryIs("haul", "ONLINE");
      await versionByEntry(entry);
      return entry;
    });
    expect([entry.id, entry.password]).toEqual([before.id, before.password]);
  });

  /** Comes with a heartbeat, so a little later than the entry. */
  const freeBytesOf = ({ name }: DownloadClient) =>
    eventually(async () => {
      const free = (await stack.entries()).get(name)?.load?.freeBytes;
      if (free === undefined) throw new Error("free space is not known yet");
      return free;
    });
});
