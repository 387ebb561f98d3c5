import { beforeEach, describe, expect, it } from "vitest";
import type { Adapter } from "../../src/adapters/adapter.js";
import { createAdapter, recogniseClient } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import { serve } from "./fake-client.js";
import { FakeNzbget } from "./fake-nzbget.js";

let nzbget: FakeNzbget;
let url: string;
beforeEach(async () => {
  nzbget = new FakeNzbget();
  url = `${await serve(nzbget.listener)}/base`;
});

const { signal } = new AbortController();
const adapterFor = (credentials: { username?: string; secret?: string }): Adapter =>
  createAdapter({ kind: "nzbget", url: `${url}/`, ...credentials }, { clock: systemClock });
const RIGHT = { username: "me", secret: "right" };
const WRONG = { username: "me", secret: "plain-wrong" };

describe("NZBGet", () => {
  it("with the right login tells version, load and directory", async () => {
    nzbget.free = [19, 1_846_251_520];
    nzbget.statuses = ["DOWNLOADING", "QUEUED", "PAUSED", "UNPACKING", "QUEUED", "FETCHING"];
    expect(await adapterFor(RIGHT).probe(signal)).toEqual({
      outcome: "ok",
      message: "NZBGet 21.0 answers",
      version: "21.0",
      load: {
        active: 2,
        queued: 2,
        freeBytes: 19 * 2 ** 32 + 1_846_251_520,
        downloadBytesPerSecond: 40,
      },
      downloadDirectory: "/data/my downloads",
      credentials: "accepted",
    });
  });

  it("that does not know the free space: it is unknown", async () => {
    const probe = await adapterFor(RIGHT).probe(signal);
    expect(probe.outcome === "ok" && "freeBytes" in probe.load).toBe(false);
  });

  it("is asked without a login once, and twice in a steady probe", async () => {
    const adapter = adapterFor(RIGHT);
    for (let i = 0; i < 3; i++) {
      await adapter.probe(signal);
      nzbget.nowS += 10;
    }
    expect(nzbget.withoutLogin).toBe(1);
    expect(nzbget.methods.slice(-4)).toEqual(["status", "listgroups", "status", "listgroups"]);
  });

  it("that was started anew is asked again for what may have changed", async () => {
    const adapter = adapterFor(RIGHT);
    await adapter.probe(signal);
    nzbget.startedAtS += 3;
    nzbget.version = "21.1";
    expect(await adapter.probe(signal)).toMatchObject({ outcome: "ok", version: "21.1" });
  });

  it("refuses the wrong login after one attempt, also one that was right before", async () => {
    const adapter = adapterFor(RIGHT);
    await adapter.probe(signal);
    nzbget.password = "another";
    expect((await adapter.probe(signal)).outcome).toBe("authentication-failed");
    expect(nzbget.badLogins).toBe(1);
    const probe = await adapterFor(WRONG).probe(signal);
    expect(probe.outcome).toBe("authentication-failed");
    expect(JSON.stringify(probe)).not.toContain("plain-wrong");
    expect(nzbget.badLogins).toBe(2);
  });

  it("refuses a user who may only add", async () => {
    nzbget.mayOnlyAdd = true;
    expect(await adapterFor(RIGHT).probe(signal)).toMatchObject({
      outcome: "authentication-failed",
      message: expect.stringContaining("ControlUsername"),
    });
  });

  it("too old is unsupported", async () => {
    nzbget.version = "12.0";
    expect((await adapterFor(RIGHT).probe(signal)).outcome).toBe("unsupported-version");
  });

  it.each([
    ["wants a login", {}],
    ["wants a login in a form", { formAuth: true }],
    ["lets everybody in", { open: true }],
  ])("that %s is recognised without one", async (_, how) => {
    Object.assign(nzbget, how);
    expect(await recogniseClient(url, { clock: systemClock, signal })).toBe("nzbget");
    expect(nzbget.badLogins).toBe(0);
  });
});

describe("credentials", () => {
  it("that are not asked for prove nothing, and are not sent", async () => {
    nzbget.open = true;
    const probe = await adapterFor(WRONG).probe(signal);
    expect(probe).toMatchObject({ outcome: "ok", credentials: "not-asked" });
  });

  it("that are missing: it says so without an attempt", async () => {
    expect(await adapterFor({}).probe(signal)).toMatchObject({
      outcome: "authentication-failed",
      message: expect.stringContaining("wants a login"),
    });
    expect(nzbget.badLogins).toBe(0);
  });

  it("never go to another program that wants a login", async () => {
    const logins: unknown[] = [];
    const other = await serve((request, response) => {
      logins.push(request.headers.authorization);
      response.writeHead(401, { "www-authenticate": 'Basic realm="Router"' }).end();
    });
    const target = { kind: "nzbget", url: other, ...RIGHT } as const;
    const probe = await createAdapter(target, { clock: systemClock }).probe(signal);
    expect(probe.outcome).toBe("wrong-kind");
    expect(logins).toEqual([undefined]);
  });
});

describe("given an NZB", () => {
  const download = { fileName: "one.nzb", content: Buffer.from("<nzb>"), category: "tv" };

  it("tells its id", async () => {
    expect(await adapterFor(RIGHT).add?.(download, signal)).toBe("1");
    const nzb = Buffer.from("<nzb>").toString("base64");
    expect(nzbget.added).toEqual([["one.nzb", nzb, "tv", 0, false, false, "", 0, "SCORE"]]);
  });

  it("for a directory, it says that it has categories for that, and adds nothing", async () => {
    const adding = adapterFor(RIGHT).add?.({ ...download, directory: "/data/tv" }, signal);
    await expect(adding).rejects.toThrow("give a category");
    expect(nzbget.added).toEqual([]);
  });
});
