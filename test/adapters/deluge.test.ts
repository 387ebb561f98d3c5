import { beforeEach, describe, expect, it } from "vitest";
import type { Adapter, Download } from "../../src/adapters/adapter.js";
import { createAdapter } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import { bodyOf, serve } from "./fake-client.js";
import { FakeDeluge, TORRENT_ID } from "./fake-deluge.js";

let deluge: FakeDeluge;
let url: string;
beforeEach(async () => {
  deluge = new FakeDeluge();
  url = await serve(deluge.listener);
});

const { signal } = new AbortController();
const adapterFor = (secret?: string, at = url): Adapter =>
  createAdapter(
    { kind: "deluge", url: `${at}/base/`, ...(secret && { secret }) },
    { clock: systemClock },
  );

describe.each(["2.0.3", "2.2.0"])("Deluge %s", (version) => {
  beforeEach(() => {
    deluge.version = version;
  });

  it("takes the right password, once for many probes, of which each is one call", async () => {
    const adapter = adapterFor("right");
    for (let i = 0; i < 3; i++)
      expect(await adapter.probe(signal)).toEqual({
        outcome: "ok",
        message: `Deluge ${version} answers`,
        version,
        load: {
          active: 0,
          queued: 0,
          freeBytes: 5_000,
          downloadBytesPerSecond: 0,
          uploadBytesPerSecond: 0,
        },
        downloadDirectory: "/downloads",
        credentials: "accepted",
        ...(i > 0 && { isBySession: true }),
      });
    expect(deluge.logins).toBe(1);
    expect(deluge.methods).toEqual([
      "auth.check_session",
      "auth.login",
      "web.update_ui",
      "daemon.get_version",
      "core.get_config_values",
      "web.update_ui",
      "web.update_ui",
    ]);
  });

  it("refuses the wrong one after one attempt", async () => {
    const probe = await adapterFor("plain-wrong").probe(signal);
    expect(probe.outcome).toBe("authentication-failed");
    expect(JSON.stringify(probe)).not.toContain("plain-wrong");
    expect(deluge.logins).toBe(1);
  });

  it("gets a new login when its sessions are gone", async () => {
    const adapter = adapterFor("right");
    const isBySession = true;
    expect(await adapter.probe(signal)).not.toMatchObject({ isBySession });
    expect(await adapter.probe(signal)).toMatchObject({ outcome: "ok", isBySession });
    deluge.restart();
    deluge.version = "2.3.0";
    const probe = await adapter.probe(signal);
    expect(probe).toMatchObject({ outcome: "ok", version: "2.3.0" });
    expect(probe).not.toMatchObject({ isBySession });
    expect(deluge.logins).toBe(2);
  });

  it("whose web UI has just been started is asked again, as one that is away", async () => {
    deluge.knowsMethods = false;
    const adapter = adapterFor("right");
    expect((await adapter.probe(signal)).outcome).toBe("unreachable");
    deluge.knowsMethods = true;
    expect((await adapter.probe(signal)).outcome).toBe("ok");
  });

  it("refuses once and no more when its password was changed with its sessions gone", async () => {
    const adapter = adapterFor("right");
    await adapter.probe(signal);
    deluge.restart();
    deluge.password = "another";
    expect((await adapter.probe(signal)).outcome).toBe("authentication-failed");
    expect(deluge.badLogins).toBe(1);
  });
});

describe("credentials", () => {
  it("are missing: it says so without an attempt", async () => {
    expect(await adapterFor().probe(signal)).toMatchObject({
      outcome: "authentication-failed",
      message: expect.stringContaining("wants the password"),
    });
    expect(deluge.logins).toBe(0);
  });

  it("are accepted, but their session is not: two logins are not made of it", async () => {
    deluge.keepsSessions = false;
    expect(await adapterFor("right").probe(signal)).toMatchObject({
      outcome: "authentication-failed",
      message: expect.stringContaining("not its session"),
    });
    expect(deluge.logins).toBe(1);
  });

  it("never go to what has not shown to be a Deluge", async () => {
    const bodies: string[] = [];
    const other = await serve(async (request, response) => {
      bodies.push(await bodyOf(request));
      response.end('{"result": true, "error": null, "id": 1}');
    });
    expect((await adapterFor("right", other).probe(signal)).outcome).toBe("wrong-kind");
    expect(bodies).toHaveLength(1);
    expect(bodies[0]).not.toContain("right");
  });
});

describe("the daemon behind it", () => {
  it("is connected to when it is not", async () => {
    deluge.isConnected = false;
    expect((await adapterFor("right").probe(signal)).outcome).toBe("ok");
    expect(deluge.params[deluge.methods.indexOf("web.connect")]).toEqual(["aaaa"]);
  });

  it("is down: it is said that it is the daemon, at once, and no call waits for it", async () => {
    const adapter = adapterFor("right");
    await adapter.probe(signal);
    deluge.isDaemonUp = false;
    expect(await adapter.probe(signal)).toEqual({
      outcome: "unreachable",
      message: "Deluge's web UI answers, but not the daemon behind it: start deluged",
      isRefused: true,
    });
    deluge.isDaemonUp = true;
    deluge.isConnected = false;
    deluge.version = "2.1.1";
    expect(await adapter.probe(signal)).toMatchObject({ outcome: "ok", version: "2.1.1" });
    expect(deluge.logins).toBe(1);
  });

  it.each([[[]], [["aaaa"]], [null]])("is none in the list of hosts %j", async (hosts) => {
    deluge.isConnected = false;
    deluge.hosts = hosts as unknown[];
    expect(await adapterFor("right").probe(signal)).toMatchObject({
      outcome: "unreachable",
      message: expect.stringContaining("knows no daemon"),
    });
  });

  it("is too old", async () => {
    deluge.version = "1.3.15";
    expect(await adapterFor("right").probe(signal)).toEqual({
      outcome: "unsupported-version",
      message: "Deluge 1.3.15 is too old: update it to 2.0 or newer",
    });
  });
});

describe("load", () => {
  const load = async () => {
    const probe = await adapterFor("right").probe(signal);
    return probe.outcome === "ok" ? probe.load : probe;
  };

  it("counts what is not whole, and has whole bytes", async () => {
    deluge.torrents = {
      a: { state: "Downloading", is_finished: false },
      b: { state: "Checking", is_finished: false },
      c: { state: "Queued", is_finished: false },
      d: { state: "Queued", is_finished: true }, // waits to seed
      e: { state: "Seeding", is_finished: true },
      f: { state: "Paused", is_finished: false },
    };
    deluge.stats = { free_space: 7, download_rate: 1234.6, upload_rate: 5.2 };
    expect(await load()).toEqual({
      active: 2,
      queued: 1,
      freeBytes: 7,
      downloadBytesPerSecond: 1_235,
      uploadBytesPerSecond: 5,
    });
  });

  it("does not know what it is not told", async () => {
    deluge.stats = { free_space: -1, download_rate: null, upload_rate: "x" };
    expect(await load()).toEqual({ active: 0, queued: 0 });
  });
});

it("tells the directory to which whole downloads are moved, if they are", async () => {
  deluge.config = {
    download_location: "/incomplete",
    move_completed: true,
    move_completed_path: "/done",
  };
  expect(await adapterFor("right").probe(signal)).toMatchObject({ downloadDirectory: "/done" });
});

describe("adding", () => {
  const torrent: Download = { fileName: "a.torrent", content: Buffer.from("d4:infod1:xi1eee") };
  const add = (more: Partial<Download> = {}) =>
    adapterFor("right").add?.({ ...torrent, ...more }, signal);
  const sent = () => deluge.params[deluge.methods.indexOf("core.add_torrent_file")];

  it("a torrent gives its id, and again when it is there already", async () => {
    expect(await add()).toBe(TORRENT_ID);
    expect(await add()).toBe(TORRENT_ID);
    expect(sent()).toEqual(["a.torrent", Buffer.from(torrent.content).toString("base64"), {}]);
  });

  it("puts it where it is told to", async () => {
    await add({ directory: "/elsewhere" });
    expect(sent()?.[2]).toEqual({ download_location: "/elsewhere" });
  });

  it("what is no torrent is an error", async () => {
    await expect(add({ content: Buffer.from("hello") })).rejects.toMatchObject({
      outcome: "unreachable",
      message: expect.stringContaining("is it a torrent?"),
    });
  });

  it("does not wait for a daemon that is down", async () => {
    deluge.isDaemonUp = false;
    await expect(add()).rejects.toThrow("start deluged");
  });

  it("gives no label while it has no labels", async () => {
    expect(await add({ category: "tv" })).toBe(TORRENT_ID);
    expect(deluge.methods).not.toContain("label.add");
  });

  it("makes a category a label, unless it is one", async () => {
    deluge.labels = ["films"];
    await add({ category: "TV" });
    expect(deluge.labels).toEqual(["films", "tv"]);
    await add({ category: "films" });
    expect(deluge.labels).toEqual(["films", "tv"]);
    expect(deluge.labelled).toEqual([`${TORRENT_ID} tv`, `${TORRENT_ID} films`]);
  });

  it("adds nothing with a category that cannot be a label", async () => {
    deluge.labels = [];
    await expect(add({ category: "tv x" })).rejects.toThrow("a-z, 0-9, _ and -");
    expect(deluge.torrents).toEqual({});
  });
});
