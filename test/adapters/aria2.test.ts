import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { ClientTarget } from "../../src/adapters/adapter.js";
import { createAdapter, recogniseClient } from "../../src/adapters/probe.js";
import { systemClock } from "../../src/lib/clock.js";
import { bodyOf, probeOnce, reply, serve } from "./fake-client.js";

const { signal } = new AbortController();

/** An aria2 that wants the secret `right` and says what a test likes. */
function fakeAria2(results: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const all: Readonly<Record<string, unknown>> = {
    "aria2.getVersion": { version: "1.36.0" },
    "aria2.getGlobalStat": {
      numActive: "2",
      numWaiting: "3",
      downloadSpeed: "40",
      uploadSpeed: "5",
    },
    "aria2.getGlobalOption": { dir: "/my data" },
    "aria2.tellActive": [],
    "aria2.tellWaiting": [],
    "aria2.tellStopped": [],
    ...results,
  };
  return serve(async (request, response) => {
    const body = await bodyOf(request);
    if (request.url !== "/base/jsonrpc") return reply(response, 404, "");
    const { id, method, params } = JSON.parse(body);
    const answer = (status: number, fields: object) =>
      reply(response, status, JSON.stringify({ jsonrpc: "2.0", id, ...fields }));
    if (params?.[0] !== "token:right")
      return answer(400, { error: { code: 1, message: "Unauthorized" } });
    if (all[method] === undefined)
      return answer(400, { error: { code: 1, message: "Bencode decoding failed" } });
    return answer(200, { result: all[method] });
  });
}

const probe = async (results?: Readonly<Record<string, unknown>>, secret = "right") =>
  probeOnce({ kind: "aria2", url: `${await fakeAria2(results)}/base/`, secret });

describe("aria2", () => {
  it("with its secret tells version and load; free space it does not know", async () => {
    expect(await probe()).toEqual({
      outcome: "ok",
      message: "aria2 1.36.0 answers",
      version: "1.36.0",
      credentials: "accepted",
      load: { active: 2, queued: 3, downloadBytesPerSecond: 40, uploadBytesPerSecond: 5 },
      downloadDirectory: "/my data",
    });
  });

  it.each(["plain-wrong", ""])(
    "refuses the secret %j, and the message does not repeat it",
    async (secret) => {
      const refused = await probe({}, secret);
      expect(refused.outcome).toBe("authentication-failed");
      expect(refused.message).toContain("rpc-secret");
      expect(refused.message).not.toContain("plain-wrong");
    },
  );

  it("too old is unsupported", async () => {
    const old = await probe({ "aria2.getVersion": { version: "1.17.1" } });
    expect(old.outcome).toBe("unsupported-version");
  });

  it.each([{ version: 1 }, { version: "1.36\nfake: line" }, "1.36.0", null])(
    "with the version %j is not aria2",
    async (version) => {
      expect((await probe({ "aria2.getVersion": version })).outcome).toBe("wrong-kind");
    },
  );

  it("with numbers that cannot be right: they are unknown", async () => {
    const stat = { numActive: "-1", numWaiting: "1e9", downloadSpeed: {}, uploadSpeed: "7" };
    expect(await probe({ "aria2.getGlobalStat": stat })).toMatchObject({
      outcome: "ok",
      load: { uploadBytesPerSecond: 7 },
    });
  });
});

it("aria2 is recognised by how it refuses whoever has no secret", async () => {
  const url = `${await fakeAria2()}/base`;
  expect(await recogniseClient(url, { clock: systemClock, signal })).toBe("aria2");
});

describe("given a torrent, aria2", () => {
  const INFO = "d6:lengthi1e4:name3:one6:pieces1:xe";
  const infoHash = createHash("sha1").update(INFO).digest("hex");
  const download = { fileName: "one.torrent", content: Buffer.from(`d4:info${INFO}e`) };
  const add = async (results: Readonly<Record<string, unknown>>) => {
    const target = { kind: "aria2", url: `${await fakeAria2(results)}/base`, secret: "right" };
    return createAdapter(target as ClientTarget, { clock: systemClock }).add?.(download, signal);
  };
  const added = { "aria2.addTorrent": "new" };

  it("tells its id", async () => {
    expect(await add(added)).toBe("new");
  });

  it.each(["tellActive", "tellWaiting", "tellStopped"])(
    "that it has already (%s), tells the id of that",
    async (method) => {
      const known = [{ gid: "known", infoHash, status: "complete" }];
      expect(await add({ ...added, [`aria2.${method}`]: known })).toBe("known");
    },
  );

  it("that it has failed to fetch before, takes it again", async () => {
    const failed = [{ gid: "known", infoHash, status: "error" }];
    expect(await add({ ...added, "aria2.tellStopped": failed })).toBe("new");
  });

  it("that is broken, refuses it", async () => {
    await expect(add({})).rejects.toThrow("does not take the torrent");
  });
});
