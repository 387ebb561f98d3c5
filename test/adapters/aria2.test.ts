import { describe, expect, it } from "vitest";
import { bodyOf, probeOnce, reply, serve } from "./fake-client.js";

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
    ...results,
  };
  return serve(async (request, response) => {
    const { method, params } = JSON.parse(await bodyOf(request));
    const answer = (status: number, fields: object) =>
      reply(response, status, JSON.stringify({ jsonrpc: "2.0", id: "probe", ...fields }));
    if (request.url !== "/base/jsonrpc") return reply(response, 404, "");
    if (params[0] !== "token:right")
      return answer(400, { error: { code: 1, message: "Unauthorized" } });
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
