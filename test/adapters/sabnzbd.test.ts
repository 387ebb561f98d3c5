import { beforeEach, describe, expect, it } from "vitest";
import type { Adapter, Download } from "../../src/adapters/adapter.js";
import { createAdapter } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import { bodyOf, reply, serve } from "./fake-client.js";
import { FakeSabnzbd } from "./fake-sabnzbd.js";

let sabnzbd: FakeSabnzbd;
let url: string;
beforeEach(async () => {
  sabnzbd = new FakeSabnzbd();
  url = await serve(sabnzbd.listener);
});

const { signal } = new AbortController();
const adapterFor = (secret?: string, at = url): Adapter =>
  createAdapter(
    { kind: "sabnzbd", url: `${at}/base/`, ...(secret && { secret }) },
    { clock: systemClock },
  );

describe.each(["3.7.1", "4.5.0"])("SABnzbd %s", (version) => {
  beforeEach(() => {
    sabnzbd.version = version;
  });

  it("takes the right key, and each probe after the first is one call", async () => {
    const adapter = adapterFor("right");
    for (let i = 0; i < 3; i++)
      expect(await adapter.probe(signal)).toEqual({
        outcome: "ok",
        message: `SABnzbd ${version} answers`,
        version,
        load: { active: 0, queued: 0, downloadBytesPerSecond: 0 },
        downloadDirectory: "/complete",
        credentials: "accepted",
      });
    expect(sabnzbd.modes).toEqual(["auth", "queue", "fullstatus", "queue", "queue"]);
  });

  it("refuses the wrong one after one attempt, in words or without", async () => {
    for (const tellsWhy of [true, false]) {
      sabnzbd.warnings = 0;
      sabnzbd.tellsWhy = tellsWhy;
      const probe = await adapterFor("plain-wrong").probe(signal);
      expect(probe).toMatchObject({
        outcome: "authentication-failed",
        message: expect.stringContaining("refuses the API key"),
      });
      expect(JSON.stringify(probe)).not.toContain("plain-wrong");
      expect(sabnzbd.warnings).toBe(1);
    }
  });
});

it("puts the key into no URL", async () => {
  await adapterFor("right").probe(signal);
  expect(new Set(sabnzbd.urls)).toEqual(new Set(["/base/api"]));
});

it.each([
  [403, "API Key Required"],
  [200, "API Key Incorrect\n"],
  [200, '{"status":false,"error":"API Key Incorrect"}'],
])("HTTP %d with %j refuses the key", async (status, text) => {
  const other = await serve(async (request, response) => {
    const isOpen = (await bodyOf(request)).includes("mode=auth");
    reply(response, isOpen ? 200 : status, isOpen ? '{"auth":"apikey"}' : text);
  });
  expect((await adapterFor("x", other).probe(signal)).outcome).toBe("authentication-failed");
});

describe("a key", () => {
  it("is missing: it says so, and makes it warn nobody", async () => {
    expect(await adapterFor().probe(signal)).toMatchObject({
      outcome: "authentication-failed",
      message: expect.stringContaining("wants its API key"),
    });
    expect(sabnzbd.warnings).toBe(0);
  });

  it("never goes to what has not shown to be a SABnzbd, after a failure neither", async () => {
    const adapter = adapterFor("right");
    await adapter.probe(signal);
    sabnzbd.queue = { version: null };
    expect((await adapter.probe(signal)).outcome).toBe("wrong-kind");
    sabnzbd.lockedOut = "<html>";
    expect((await adapter.probe(signal)).outcome).toBe("wrong-kind");
    expect(sabnzbd.fields.at(-1)?.has("apikey")).toBe(false);
  });
});

it.each([
  ["Access denied - Hostname verification failed: https://x", "host_whitelist"],
  ["External internet access denied - https://x", "inet_exposure"],
])("that says %j wants %s changed, and has seen no key", async (text, setting) => {
  sabnzbd.lockedOut = text;
  expect(await adapterFor("right").probe(signal)).toMatchObject({
    outcome: "unreachable",
    message: expect.stringContaining(setting),
  });
  expect(sabnzbd.modes).toEqual(["auth"]);
});

describe("version", () => {
  it("too old is unsupported", async () => {
    sabnzbd.version = "2.3.9";
    expect(await adapterFor("right").probe(signal)).toEqual({
      outcome: "unsupported-version",
      message: "SABnzbd 2.3.9 is too old: update it to 3.0 or newer",
    });
  });

  it("from its repository has no number, and will do", async () => {
    sabnzbd.version = "develop";
    expect(await adapterFor("right").probe(signal)).toMatchObject({ outcome: "ok" });
  });
});

describe("load", () => {
  const load = async (queue: Record<string, unknown>) => {
    sabnzbd.queue = queue;
    const probe = await adapterFor("right").probe(signal);
    return probe.outcome === "ok" ? probe.load : probe;
  };
  const job = (status: string) => ({ nzo_id: "x", status });

  it("says in bytes what it tells in KiB and GiB, of the fuller disk", async () => {
    const disks = { diskspacetotal1: "10.00", diskspacetotal2: "20.00" };
    const free = { diskspace1: "0.50", diskspace2: "1.25", diskspace1_norm: "512.0 M" };
    expect(await load({ ...disks, ...free, kbpersec: "1536.25" })).toMatchObject({
      freeBytes: 512 * 1_024 ** 2,
      downloadBytesPerSecond: 1_573_120,
    });
  });

  it("does not take a disk at which it cannot look for a full one", async () => {
    const unseen = { diskspacetotal1: "0.00", diskspace1: "0.00" };
    expect(await load(unseen)).not.toHaveProperty("freeBytes");
    expect(await load({ ...unseen, diskspacetotal2: "2.00", diskspace2: "0.00" })).toMatchObject({
      freeBytes: 0,
    });
  });

  it.each([
    [["Downloading", "Downloading", "Downloading"], 1, 2],
    [["Paused", "Downloading"], 1, 1],
    [["Queued", "Paused"], 0, 2], // all is paused
    [["Propagating"], 0, 1],
    [[], 0, 0],
  ])("of jobs that are %j counts %d active and %d queued", async (states, active, queued) => {
    const queue = { slots: states.map(job), noofslots_total: states.length };
    expect(await load(queue)).toMatchObject({ active, queued });
  });

  it("is unknown where numbers cannot be right", async () => {
    expect(
      await load({
        noofslots_total: -1,
        slots: "x",
        kbpersec: "1e9",
        diskspace1: "12 G",
        diskspacetotal1: "20.00",
      }),
    ).toEqual({});
  });
});

it.each([[{ completedir: "/a\nb" }], [{}]])(
  "with the status %j has no directory",
  async (status) => {
    sabnzbd.status = status;
    const probe = await adapterFor("right").probe(signal);
    expect(probe.outcome).toBe("ok");
    expect(probe).not.toHaveProperty("downloadDirectory");
  },
);

describe("adding", () => {
  const nzb: Download = { fileName: "a.nzb", content: Buffer.from("<nzb/>"), category: "tv" };
  const add = (more: Partial<Download> = {}) =>
    adapterFor("right").add?.({ ...nzb, ...more }, signal);

  it("a file gives the id of its job", async () => {
    expect(await add()).toBe("SABnzbd_nzo_jsvqah3f");
    const fields = sabnzbd.fields.at(-1);
    expect(fields?.get("cat")).toBe("tv");
    const file = fields?.get("name");
    expect(file instanceof File && [file.name, await file.text()]).toEqual(["a.nzb", "<nzb/>"]);
  });

  it("what it refuses as there already gives the id of that job", async () => {
    sabnzbd.added = { status: false, nzo_ids: [] };
    sabnzbd.history = [
      { nzo_id: "SABnzbd_nzo_other", name: "a.b" },
      { nzo_id: "SABnzbd_nzo_done", name: "a" },
    ];
    expect(await add()).toBe("SABnzbd_nzo_done");
    sabnzbd.queue = { slots: [{ nzo_id: "SABnzbd_nzo_waits", filename: "a" }] };
    expect(await add()).toBe("SABnzbd_nzo_waits");
  });

  it("what it does not take is an error", async () => {
    sabnzbd.added = { status: false, nzo_ids: [] };
    await expect(add()).rejects.toMatchObject({
      outcome: "unreachable",
      message: expect.stringContaining("did not take"),
    });
  });

  it("into a directory of its own is refused: it would be put elsewhere", async () => {
    await expect(add({ directory: "/x" })).rejects.toThrow("category");
    expect(sabnzbd.modes).toEqual([]);
  });

  it("sends no key to what is no SABnzbd", async () => {
    sabnzbd.lockedOut = "<html>";
    await expect(add()).rejects.toMatchObject({ outcome: "wrong-kind" });
    expect(sabnzbd.modes).toEqual(["auth"]);
  });
});
