import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { startQBittorrent } from "../support/download-clients/real-clients.js";
import { eventually } from "../support/eventually.js";
import { figure } from "../support/figures.js";
import { LogIns, median, outcomeOf } from "../support/log-ins.js";
import { versionByEntry } from "../support/manager-calls.js";
import { monotonicNow } from "../support/members.js";
import { isMissing } from "../support/missing.js";
import { seededRandom } from "../support/seeded-random.js";
import { Stack } from "../support/stack.js";

// `haul rotate-key`, and a manager that logs in all the time with what its watch said last.

const NAME = "haul";
/** No aria2c: Haul registers itself. */
const ALONE = { PATH: "" };

let stack: Stack;
beforeEach(async () => {
  stack = await Stack.create();
  onTestFinished(() => stack.stop());
});

const stateFile = (name: string) => join(stack.group.directory, NAME, name);
const lineOf = async (path: string) => (await readFile(path, "utf8")).trim();
const apiKey = () => lineOf(stateFile("api.key"));

async function rotate(...args: string[]) {
  const data = join(stack.group.directory, NAME);
  const { code, stdout, stderr } = await stack.group.run("haul", [
    ...["rotate-key", "--data", data, "--json"],
    ...args,
  ]);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as { what: string; pulse: string };
}

async function manager(): Promise<LogIns> {
  const logIns = new LogIns(stack, NAME);
  onTestFinished(() => logIns.stop());
  await logIns.more(2);
  return logIns;
}

const failuresOf = ({ logIns }: LogIns) => logIns.filter(({ end }) => end !== "good");

async function isAccepted(url: unknown, key: string): Promise<boolean> {
  const response = await fetch(`${url}/api/status`, { headers: { "x-api-key": key } });
  return response.ok;
}

describe("Haul's own key", { timeout: 120_000 }, () => {
  it("rotated again and again: nobody who watches fails to log in, and the old ones end", async () => {
    await stack.startPulse();
    const haul = await stack.startHaul(NAME, [], ALONE);
    const { url } = await haul.line("haul.listening");
    await stack.entryIs(NAME, "ONLINE");
    const logIns = await manager();
    const keys = [await apiKey()];
    for (let n = 0; n < 6; n++) {
      expect(await rotate("--overlap", "2s")).toEqual({ what: "api-key", pulse: "told" });
      const key = await apiKey();
      expect(keys).not.toContain(key);
      keys.push(key);
      await logIns.told(key);
      await logIns.more(2);
    }
    const newest = keys.pop() ?? "";
    await eventually(async () => {
      for (const key of keys) expect(await isAccepted(url, key)).toBe(false);
    });
    await logIns.more(3);
    expect(await isAccepted(url, newest)).toBe(true);
    expect(failuresOf(logIns)).toEqual([]);
    await expect(stat(stateFile("api.key.old"))).rejects.toThrow("ENOENT");
    expect((await stat(stateFile("api.key"))).mode & 0o777).toBe(0o600);
    for (const key of [...keys, newest]) expect(haul.stdout + haul.stderr).not.toContain(key);
  });

  it("rotated while Pulse is away: the old one is valid until Pulse, and those who watch, have the new one", async () => {
    const pulse = await stack.startPulse();
    const haul = await stack.startHaul(NAME, [], ALONE);
    const { url } = await haul.line("haul.listening");
    await stack.entryIs(NAME, "ONLINE");
    const logIns = await manager();
    const before = await apiKey();
    pulse.kill("SIGKILL");
    await pulse.exit;
    // Watchers need up to 15 s to be back, which the overlap has to cover.
    expect(await rotate("--overlap", "20s")).toEqual({ what: "api-key", pulse: "waiting" });
    const key = await apiKey();
    expect(await lineOf(stateFile("api.key.old"))).not.toContain("endsAt");
    await logIns.more(10);
    expect([await isAccepted(url, before), await isAccepted(url, key)]).toEqual([true, true]);
    await stack.startPulse();
    await eventually(() => logIns.told(key), 30_000);
    await eventually(async () => expect(await isAccepted(url, before)).toBe(false), 30_000);
    await logIns.more(3);
    expect(failuresOf(logIns)).toEqual([]);
  });

  it("rotated by a Haul that is killed in between, wherever that is: at its next start all agree", async () => {
    await stack.startPulse();
    const random = seededRandom(7);
    for (let n = 0; n < 8; n++) {
      const haul = await stack.startHaul(NAME, [], ALONE);
      const { url } = await haul.line("haul.listening");
      await stack.entryIs(NAME, "ONLINE");
      await agree(url);
      const asking = fetch(`${url}/api/rotate-key`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": await apiKey() },
        body: JSON.stringify({ overlapMs: 50 }),
      }).catch(() => {});
      await sleep(random.next() * 25);
      haul.kill("SIGKILL");
      await Promise.all([haul.exit, asking]);
    }
    const last = await stack.startHaul(NAME, [], ALONE);
    await agree((await last.line("haul.listening")).url);
  });

  /** Pulse's entry is what the file says, and it opens Haul. */
  async function agree(url: unknown): Promise<void> {
    await eventually(async () => {
      const entry = (await stack.entries()).get(NAME);
      expect(entry?.password).toBe(await apiKey());
      expect(await isAccepted(url, entry?.password ?? "")).toBe(true);
    });
  }

  it("rotated while no Haul runs: the file is changed, and the next start registers it", async () => {
    await stack.startPulse();
    const haul = await stack.startHaul(NAME, [], ALONE);
    await stack.entryIs(NAME, "ONLINE");
    const before = await apiKey();
    haul.kill("SIGKILL"); // its address stays behind
    await haul.exit;
    expect(await rotate()).toEqual({ what: "api-key", pulse: "asleep" });
    expect(await apiKey()).not.toBe(before);
    const next = await stack.startHaul(NAME, [], ALONE);
    const { url } = await next.line("haul.listening");
    expect(await isAccepted(url, before)).toBe(true);
    await agree(url);
  });
});

/** Rotates `count` times under log-ins; says how long these failed each time. */
async function measured(logIns: LogIns, count: number, secret: () => Promise<string>) {
  const rotations: { askedAt: number; toldAt: number }[] = [];
  for (let n = 0; n < count; n++) {
    const askedAt = monotonicNow();
    expect((await rotate()).pulse).toBe("told");
    rotations.push({ askedAt, toldAt: await logIns.told(await secret()) });
    await logIns.more(3);
  }
  return rotations.map((rotation, n) => {
    const nextAt = rotations[n + 1]?.askedAt ?? Number.POSITIVE_INFINITY;
    const its = logIns.logIns.filter(
      ({ endedAt }) => endedAt > rotation.askedAt && endedAt <= nextAt,
    );
    return { ...outcomeOf(rotation, its), toldAt: rotation.toldAt };
  });
}

function report(what: string, outcomes: readonly { readonly failingMs: number }[]): void {
  const failing = outcomes.map(({ failingMs }) => failingMs);
  figure(21, `ms that log-ins fail when ${what} gets a new secret, median`, median(failing));
  figure(21, `ms that log-ins fail when ${what} gets a new secret, at most`, Math.max(...failing));
}

describe.skipIf(isMissing("aria2c"))("an aria2 of Haul's own", { timeout: 120_000 }, () => {
  it("refuses no log-in once its manager has been told", async () => {
    await stack.startPulse();
    const haul = await stack.startHaul(NAME);
    await stack.entryIs(NAME, "ONLINE");
    const logIns = await manager();
    const before = await lineOf(stateFile("aria2.secret"));
    const outcomes = await measured(logIns, 10, () => lineOf(stateFile("aria2.secret")));
    // It is told while aria2 starts, so that nobody may answer for a moment.
    for (const { bad, toldAt } of outcomes)
      expect(bad.filter(({ beganAt, end }) => beganAt > toldAt && end === "refused")).toEqual([]);
    report("the own aria2", outcomes);
    const entry = await stack.entryIs(NAME, "ONLINE");
    expect(await versionByEntry(entry)).toBe(entry.version);
    expect(entry.password).not.toBe(before);
    await expect(versionByEntry({ ...entry, password: before })).rejects.toThrow();
    expect(haul.lines.some(({ msg }) => msg === "haul.aria2-ended")).toBe(false);
  });
});

describe.skipIf(isMissing("qbittorrent-nox"))("a real qBittorrent", { timeout: 120_000 }, () => {
  const USER = { username: "me", password: "the first password" };

  async function beside(env: Readonly<Record<string, string>> = {}, ...args: string[]) {
    const [client] = await Promise.all([startQBittorrent(USER), stack.startPulse()]);
    await banNobody(client.url);
    const file = join(stack.group.directory, "password");
    await writeFile(file, `${USER.password}\n`, { mode: 0o640 });
    const given = ["--kind", "qbittorrent", "--url", client.url, "--username", USER.username];
    const haul = await stack.startHaul(NAME, [...given, ...args], env);
    await stack.entryIs(NAME, "ONLINE");
    return { haul, client, file };
  }

  async function banNobody(url: string): Promise<void> {
    const login = await fetch(`${url}/api/v2/auth/login`, {
      method: "POST",
      body: new URLSearchParams(USER),
    });
    const cookie = login.headers.get("set-cookie")?.split(";", 1)[0] ?? "";
    const json = JSON.stringify({ web_ui_max_auth_fail_count: 1_000_000 });
    const body = new URLSearchParams({ json });
    await fetch(`${url}/api/v2/app/setPreferences`, { method: "POST", headers: { cookie }, body });
  }

  it("fails no log-in once its manager has been told, and the operator's file has the password", async () => {
    const path = join(stack.group.directory, "password");
    const { haul, file } = await beside({}, "--password-file", path);
    const logIns = await manager();
    const outcomes = await measured(logIns, 10, () => lineOf(file));
    for (const { bad, toldAt } of outcomes)
      expect(bad.filter(({ beganAt }) => beganAt > toldAt)).toEqual([]);
    report("qBittorrent", outcomes);
    expect((await stat(file)).mode & 0o777).toBe(0o640);
    expect(await readFile(file, "utf8")).toMatch(/^\S{43}\n$/);
    await expect(stat(stateFile("client.secret.pending"))).rejects.toThrow("ENOENT");
    expect(haul.stdout + haul.stderr).not.toContain(await lineOf(file));
  });

  it("whose Haul is killed while it rotates, wherever that is: at the next start all agree", async () => {
    const path = join(stack.group.directory, "password");
    const first = await beside({}, "--password-file", path);
    const random = seededRandom(11);
    const given = ["--kind", "qbittorrent", "--url", first.client.url, "--username", USER.username];
    let { haul } = first;
    for (let n = 0; n < 5; n++) {
      const url = await lineOf(stateFile("api.url"));
      const asking = fetch(`${url}/api/rotate-key`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": await apiKey() },
        body: "{}",
      }).catch(() => {});
      await sleep(random.next() * 400);
      haul.kill("SIGKILL");
      await Promise.all([haul.exit, asking]);
      haul = await stack.startHaul(NAME, [...given, "--password-file", path]);
      await eventually(async () => {
        const entry = (await stack.entries()).get(NAME);
        expect(entry?.password).toBe(await lineOf(path));
        if (entry) await versionByEntry(entry);
        await expect(stat(stateFile("client.secret.pending"))).rejects.toThrow("ENOENT");
      }, 20_000);
    }
  });

  it("keeps a password that came from a variable: that is refused, and nothing changes", async () => {
    await beside({ HAUL_PASSWORD: USER.password });
    const data = join(stack.group.directory, NAME);
    const { code, stdout, stderr } = await stack.group.run("haul", ["rotate-key", "--data", data]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(
      /^haul: the secret was not given in a file[^\n]*--password-file[^\n]*\n$/,
    );
    const entry = await stack.entryIs(NAME, "ONLINE");
    expect(entry.password).toBe(USER.password);
    expect(await versionByEntry(entry)).toBe(entry.version);
  });
});
