import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type HaulOptions, startHaul } from "../../src/haul/index.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { eventually } from "../support/eventually.js";
import { recordingLog } from "../support/recording-log.js";
import { freePort } from "../support/stack.js";

// Without a Pulse: what Haul does by itself. With one: test/scenario/.

let directory: string;
let log: ReturnType<typeof recordingLog>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "haul-test-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  log = recordingLog();
});

async function options(change: Partial<HaulOptions> = {}): Promise<HaulOptions> {
  return {
    pulse: `http://127.0.0.1:${await freePort()}`,
    token: "a-token",
    name: "haul",
    listen: { host: "127.0.0.1", port: 0 },
    stateDirectory: directory,
    environment: { PATH: "" }, // no aria2c there
    log,
    ...change,
  };
}

async function start(change: Partial<HaulOptions> = {}) {
  const haul = await startHaul(await options(change));
  onTestFinished(() => haul.close());
  return haul;
}

const key = async () => (await readFile(join(directory, "api.key"), "utf8")).trim();
const status = async (url: string) =>
  (await fetch(`${url}/api/status`, { headers: { "x-api-key": await key() } })).json();
const line = (msg: string) => log.lines.find((each) => each.msg === msg);

describe("a Haul without a Pulse", () => {
  it("serves, keeps its key, and tells how it stands", async () => {
    const haul = await start({ version: "0.1.0" });
    expect(line("haul.listening")?.fields).toEqual({ url: haul.url });
    expect((await stat(join(directory, "api.key"))).mode & 0o777).toBe(0o600);
    const first = await key();
    expect(await status(haul.url)).toMatchObject({
      name: "haul",
      version: "0.1.0",
      pulse: { url: expect.stringContaining("http://127.0.0.1:") },
      services: [{ name: "haul", state: "connecting", downloadClient: null }],
    });
    await haul.close();
    await start();
    expect(await key()).toBe(first);
    expect(JSON.stringify(log.lines)).not.toContain(first);
  });

  it("registers nothing until the download client has taken its credentials", async () => {
    const client = new FakeQBittorrent();
    client.password = "plain-secret";
    const url = await serve(client.listener);
    const target = { name: "haul", kind: "qbittorrent", url, username: "me" } as const;
    const wrong = await start({ client: { ...target, secret: "plain-wrong" } });
    await eventually(async () =>
      expect(await status(wrong.url)).toMatchObject({
        services: [
          {
            state: "waiting-for-download-client",
            downloadClient: { status: "degraded", outcome: "authentication-failed" },
          },
        ],
      }),
    );
    expect(client.badLogins).toBe(1);
    await wrong.close();

    const right = await start({ client: { ...target, secret: "plain-secret" } });
    await eventually(async () =>
      expect(await status(right.url)).toMatchObject({
        services: [
          {
            state: "connecting",
            downloadClient: {
              kind: "qbittorrent",
              url,
              advertisedUrl: url,
              status: "online",
              outcome: "ok",
              version: "4.5.2",
            },
          },
        ],
      }),
    );
    const shown = JSON.stringify([log.lines, await status(right.url)]);
    expect(shown).not.toMatch(/plain-secret|plain-wrong/);
  });
});

describe("a start that cannot be", () => {
  const ARIA2 = { name: "one", kind: "aria2", url: "http://nas:6800" } as const;

  it.each([
    [{ name: " " }, /service.name is missing/],
    [{ pulse: "http://me:plain-secret@nas:9696" }, /pulse must not contain a user/],
    [{ client: { name: "haul", kind: "aria2", url: "nas:6800" } }, /http or https URL/],
    [{ clients: [ARIA2, ARIA2] }, /two download clients are called "one"/],
    [{ clients: [{ ...ARIA2, advertiseUrl: "ftp://nas" }] }, /the advertised URL is not an http/],
    [{ pulse: "http://192.0.2.1:9696", insecure: true }, /managers cannot reach it/],
    [{ advertiseUrl: "http://0.0.0.0:1" }, /the advertised URL must name an address/],
    [{ listen: { host: "0.0.0.0", port: 0 } }, /--listen 0.0.0.0 without --advertise-url/],
    [{ stateDirectory: "/dev/null/haul" }, /cannot use the state directory .* \(ENOTDIR\)/],
    [{ listen: { host: "192.0.2.1", port: 1 } }, /does not have that address/],
  ] as const)("%j is one sentence", async (change, says) => {
    await expect(start(change)).rejects.toThrow(says);
  });

  it.each(["instance.json", "api.key"])("a damaged %s is told and kept", async (name) => {
    await writeFile(join(directory, name), "damaged", { mode: 0o600 });
    await expect(start()).rejects.toThrow(`${join(directory, name)} is damaged`);
    expect(await readFile(join(directory, name), "utf8")).toBe("damaged");
  });

  it("an unspecified address will do with another to advertise", async () => {
    await start({ listen: { host: "0.0.0.0", port: 0 }, advertiseUrl: "http://nas:9797" });
  });
});
