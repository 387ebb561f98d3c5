import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import type { Adapter } from "../../src/adapters/adapter.js";
import { createAdapter, recogniseClient } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import { FakeQBittorrent, serve } from "./fake-client.js";

let qbittorrent: FakeQBittorrent;
let url: string;
beforeEach(async () => {
  qbittorrent = new FakeQBittorrent();
  url = await serve(qbittorrent.listener);
});

const { signal } = new AbortController();
const adapterFor = (credentials: { username?: string; secret?: string }): Adapter =>
  createAdapter({ kind: "qbittorrent", url: `${url}/`, ...credentials }, { clock: systemClock });
const RIGHT = { username: "me", secret: "right" };
const WRONG = { username: "me", secret: "plain-wrong" };

describe.each(["4.5", "5.2"] as const)("qBittorrent %s", (speaks) => {
  beforeEach(() => {
    qbittorrent.speaks = speaks;
  });

  it("takes the right password, once for many probes", async () => {
    const adapter = adapterFor(RIGHT);
    for (let i = 0; i < 3; i++)
      expect(await adapter.probe(signal)).toMatchObject({
        outcome: "ok",
        version: "4.5.2",
        credentials: "accepted",
      });
    expect(qbittorrent.logins).toBe(1);
  });

  it("refuses the wrong one after one attempt", async () => {
    const probe = await adapterFor(WRONG).probe(signal);
    expect(probe.outcome).toBe("authentication-failed");
    expect(JSON.stringify(probe)).not.toContain("plain-wrong");
    expect(qbittorrent.badLogins).toBe(1);
  });

  it("gets a new login when its sessions are gone", async () => {
    const adapter = adapterFor(RIGHT);
    const isBySession = true;
    expect(await adapter.probe(signal)).not.toMatchObject({ isBySession });
    expect(await adapter.probe(signal)).toMatchObject({ outcome: "ok", isBySession });
    qbittorrent.restart();
    expect(await adapter.probe(signal)).not.toMatchObject({ isBySession });
    expect(qbittorrent.logins).toBe(2);
    expect(qbittorrent.paths.at(-2)).toBe("/api/v2/sync/maindata?rid=0");
  });

  it("tells its directory, for which it is asked once in a session", async () => {
    const adapter = adapterFor(RIGHT);
    for (let i = 0; i < 3; i++)
      expect(await adapter.probe(signal)).toMatchObject({ downloadDirectory: "/my data" });
    const asked = qbittorrent.paths.filter((path) => path === "/api/v2/app/defaultSavePath");
    expect(asked).toHaveLength(1);
  });

  it("is recognised without a login, whether it wants one or not", async () => {
    expect(await recogniseClient(url, { clock: systemClock, signal })).toBe("qbittorrent");
    qbittorrent.open = true;
    expect(await recogniseClient(url, { clock: systemClock, signal })).toBe("qbittorrent");
    expect(qbittorrent.logins).toBe(0);
  });
});

describe("given a torrent", () => {
  const INFO = "d6:lengthi1e4:name3:one6:pieces1:xe";
  const HASH = createHash("sha1").update(INFO).digest("hex");
  const download = { fileName: "one.torrent", content: Buffer.from(`d4:info${INFO}e`) };

  it("gets it started, with category and directory, and its id is the info hash", async () => {
    const where = { category: "tv", directory: "/my data/tv" };
    expect(await adapterFor(RIGHT).add?.({ ...download, ...where }, signal)).toBe(HASH);
    const [form = ""] = qbittorrent.added;
    for (const [name, value] of [
      ["category", "tv"],
      ["savepath", "/my data/tv"],
      ["autoTMM", "false"],
      ["paused", "false"],
      ["stopped", "false"],
    ])
      expect(form).toContain(`name="${name}"\r\n\r\n${value}\r\n`);
    expect(form).toContain('filename="one.torrent"');
    expect(form).toContain(INFO);
  });

  it("that it has already, it is content", async () => {
    qbittorrent.onAdd = [200, "Fails."];
    qbittorrent.torrents.push(HASH);
    expect(await adapterFor(RIGHT).add?.(download, signal)).toBe(HASH);
  });

  it.each([
    [200, "Fails."],
    [415, "Error: 'one.torrent' is not a valid torrent file."],
  ] as const)("that it does not take (%i), it says so", async (status, body) => {
    qbittorrent.onAdd = [status, body];
    const adding = adapterFor(RIGHT).add?.(download, signal);
    await expect(adding).rejects.toThrow("does not take the torrent");
  });

  it("of version 2 is not sent, for nobody could tell its id", async () => {
    const content = Buffer.from("d4:infod12:meta versioni2eee");
    const adding = adapterFor(RIGHT).add?.({ ...download, content }, signal);
    await expect(adding).rejects.toThrow("version 1");
    expect(qbittorrent.paths).toEqual([]);
  });
});

describe("credentials", () => {
  it("are not asked for from a host that it trusts, and that proves nothing", async () => {
    qbittorrent.open = true;
    const probe = await adapterFor(WRONG).probe(signal);
    expect(probe).toMatchObject({ outcome: "ok", credentials: "not-asked" });
    expect(qbittorrent.logins).toBe(0);
  });

  it("are missing: it says so without an attempt", async () => {
    const probe = await adapterFor({}).probe(signal);
    expect(probe).toMatchObject({
      outcome: "authentication-failed",
      message: expect.stringContaining("wants a login"),
    });
    expect(qbittorrent.logins).toBe(0);
  });

  it("do not help an address that is banned, and the message says it", async () => {
    qbittorrent.banAfter = 0;
    const probe = await adapterFor(RIGHT).probe(signal);
    expect(probe).toMatchObject({
      outcome: "banned", // which says nothing of the credentials
      message: expect.stringContaining("banned"),
    });
  });

  it("never go to what has not shown to be a qBittorrent", async () => {
    const bodies: string[] = [];
    const other = await serve((request, response) => {
      bodies.push(request.method ?? "");
      response.end("<html>");
    });
    await createAdapter(
      { kind: "qbittorrent", url: other, ...RIGHT },
      { clock: systemClock },
    ).probe(signal);
    expect(bodies).toEqual(["GET"]);
  });
});

it("too old a version is unsupported, and the message names the oldest that will do", async () => {
  qbittorrent.version = "v4.0.4";
  expect(await adapterFor(RIGHT).probe(signal)).toEqual({
    outcome: "unsupported-version",
    message: "qBittorrent 4.0.4 is too old: update it to 4.1 or newer",
  });
});

it("load follows the changes that it tells", async () => {
  const answers = [
    {
      rid: 1,
      full_update: true,
      server_state: { free_space_on_disk: -1, dl_info_speed: 100, up_info_speed: 5 },
      torrents: {
        a: { state: "downloading" },
        b: { state: "queuedDL" },
        c: { state: "uploading" },
      },
    },
    {
      rid: 2,
      server_state: { free_space_on_disk: 5_000 },
      torrents: { b: { state: "metaDL" }, c: { name: "renamed" } },
    },
    { rid: 3, torrents_removed: ["a"], torrents: { c: { state: "stalledDL" } } },
  ];
  qbittorrent.data = (rid) => answers[rid] ?? {};
  const adapter = adapterFor(RIGHT);
  const load = async () => {
    const probe = await adapter.probe(signal);
    return probe.outcome === "ok" ? probe.load : probe;
  };
  const rates = { downloadBytesPerSecond: 100, uploadBytesPerSecond: 5 };
  expect(await load()).toEqual({ active: 1, queued: 1, ...rates });
  expect(await load()).toEqual({ active: 2, queued: 0, freeBytes: 5_000, ...rates });
  expect(await load()).toEqual({ active: 2, queued: 0, freeBytes: 5_000, ...rates });
  expect(await load()).toMatchObject({ outcome: "wrong-kind" });
});
