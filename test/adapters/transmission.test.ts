import { beforeEach, describe, expect, it } from "vitest";
import type { Adapter, Download } from "../../src/adapters/adapter.js";
import { createAdapter, recogniseClient } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import { serve } from "./fake-client.js";
import { FakeTransmission } from "./fake-transmission.js";

let transmission: FakeTransmission;
let url: string;
beforeEach(async () => {
  transmission = new FakeTransmission();
  url = `${await serve(transmission.listener)}/base`;
});

const { signal } = new AbortController();
const adapterFor = (credentials: { username?: string; secret?: string }): Adapter =>
  createAdapter({ kind: "transmission", url: `${url}/`, ...credentials }, { clock: systemClock });
const RIGHT = { username: "me", secret: "right" };
const WRONG = { username: "me", secret: "plain-wrong" };
const STEADY = ["session-stats", "torrent-get", "free-space"];

describe.each(["3.00", "4.1"] as const)("Transmission %s", (speaks) => {
  beforeEach(() => {
    transmission.speaks = speaks;
  });

  it("with the right login tells version, load and directory", async () => {
    transmission.statuses = [4, 3, 6, 4, 0, 2, 3, 3];
    const version = speaks === "3.00" ? "3.00" : "4.1.0-beta.2";
    expect(await adapterFor(RIGHT).probe(signal)).toEqual({
      outcome: "ok",
      message: `Transmission ${version} answers`,
      version,
      load: {
        active: 2,
        queued: 3,
        freeBytes: 5_000,
        downloadBytesPerSecond: 40,
        uploadBytesPerSecond: 5,
      },
      downloadDirectory: "/data/my downloads",
      credentials: "accepted",
    });
  });

  it("is asked without a login once, and three times in a steady probe", async () => {
    const adapter = adapterFor(RIGHT);
    for (let i = 0; i < 3; i++) await adapter.probe(signal);
    expect(transmission.withoutLogin).toBe(1);
    expect(transmission.methods.slice(-6)).toEqual([...STEADY, ...STEADY]);
  });

  it("refuses the wrong login after one attempt, also one that was right before", async () => {
    const adapter = adapterFor(RIGHT);
    await adapter.probe(signal);
    transmission.password = "another";
    expect((await adapter.probe(signal)).outcome).toBe("authentication-failed");
    expect(transmission.badLogins).toBe(1);
    const probe = await adapterFor(WRONG).probe(signal);
    expect(probe.outcome).toBe("authentication-failed");
    expect(JSON.stringify(probe)).not.toContain("plain-wrong");
    expect(transmission.badLogins).toBe(2);
  });

  it("that begins another session is asked for everything anew", async () => {
    const adapter = adapterFor(RIGHT);
    await adapter.probe(signal);
    transmission.restart();
    transmission.open = true;
    expect(await adapter.probe(signal)).toMatchObject({ outcome: "ok", credentials: "not-asked" });
    expect(transmission.methods.slice(-4)).toContain("session-get");
    expect(transmission.badLogins).toBe(0);
  });

  it("that has too many failed logins has banned, and says to restart it", async () => {
    transmission.bars = "banned";
    expect(await adapterFor(RIGHT).probe(signal)).toMatchObject({
      outcome: "banned",
      message: expect.stringContaining("restart Transmission"),
    });
  });

  it("that does not know the address says where to add it", async () => {
    transmission.bars = "not-listed";
    expect(await adapterFor(RIGHT).probe(signal)).toMatchObject({
      outcome: "banned",
      message: expect.stringContaining("rpc-whitelist"),
    });
  });

  it("that does not know the host name says where to add it", async () => {
    transmission.bars = "unknown-host";
    expect(await adapterFor(RIGHT).probe(signal)).toMatchObject({
      outcome: "unreachable",
      message: expect.stringContaining("rpc-host-whitelist"),
    });
  });

  it.each(["nobody", "banned", "not-listed", "unknown-host"] as const)(
    "is recognised without a login, barred: %s",
    async (bars) => {
      transmission.bars = bars;
      expect(await recogniseClient(url, { clock: systemClock, signal })).toBe("transmission");
      transmission.open = true;
      expect(await recogniseClient(url, { clock: systemClock, signal })).toBe("transmission");
      expect(transmission.badLogins).toBe(0);
    },
  );

  describe("given a torrent", () => {
    const HASH = "0123456789abcdef0123456789abcdef01234567";
    const torrent = (content: string): Download => ({
      fileName: "one.torrent",
      content: Buffer.from(content),
    });

    it("tells its id, and the same again when it has it already", async () => {
      const adapter = adapterFor(RIGHT);
      const download = { ...torrent(HASH), category: "tv", directory: "/data/tv" };
      expect(await adapter.add?.(download, signal)).toBe(HASH);
      expect(await adapter.add?.({ ...download, category: "film" }, signal)).toBe(HASH);
      expect(transmission.directories).toEqual(["/data/tv", "/data/tv"]);
      expect(transmission.torrents.get(HASH)).toEqual(["tv"]);
    });

    it("that is broken, refuses it", async () => {
      await expect(adapterFor(RIGHT).add?.(torrent("broken"), signal)).rejects.toThrow(
        "does not take the torrent",
      );
    });
  });
});

it("credentials that are not asked for prove nothing, and are not sent", async () => {
  transmission.open = true;
  const probe = await adapterFor(WRONG).probe(signal);
  expect(probe).toMatchObject({ outcome: "ok", credentials: "not-asked" });
});

it("credentials that are missing: it says so without an attempt", async () => {
  expect(await adapterFor({}).probe(signal)).toMatchObject({
    outcome: "authentication-failed",
    message: expect.stringContaining("wants a login"),
  });
  expect(transmission.badLogins).toBe(0);
});

it.each([
  ["another program that wants a login", 'Basic realm="Router"'],
  ["one that says nothing of itself", undefined],
])("credentials never go to %s", async (_, realm) => {
  const logins: unknown[] = [];
  const other = await serve((request, response) => {
    logins.push(request.headers.authorization);
    if (realm) response.setHeader("www-authenticate", realm);
    response.writeHead(401).end();
  });
  const target = { kind: "transmission", url: other, ...RIGHT } as const;
  const probe = await createAdapter(target, { clock: systemClock }).probe(signal);
  expect(probe.outcome).toBe("wrong-kind");
  expect(logins).toEqual([undefined]);
});

it("credentials do not go to what answers in its place after it was away", async () => {
  let answer = transmission.listener;
  const changing = await serve((request, response) => answer(request, response));
  const target = { kind: "transmission", url: `${changing}/base`, ...RIGHT } as const;
  const adapter = createAdapter(target, { clock: systemClock });
  await adapter.probe(signal);
  answer = (_, response) => response.writeHead(502).end();
  expect((await adapter.probe(signal)).outcome).toBe("unreachable");
  const logins: unknown[] = [];
  answer = (request, response) => {
    logins.push(request.headers.authorization);
    response.end("<html>");
  };
  expect((await adapter.probe(signal)).outcome).toBe("wrong-kind");
  expect(logins).toEqual([undefined]);
});

it("too old a version is unsupported, and the message names the oldest that will do", async () => {
  transmission.version = "2.94 (d8e60ee44f)";
  expect(await adapterFor(RIGHT).probe(signal)).toEqual({
    outcome: "unsupported-version",
    message: "Transmission 2.94 is too old: update it to 3.0 or newer",
  });
});
