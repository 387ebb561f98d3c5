import type { IncomingHttpHeaders, RequestListener } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { startApi } from "../../src/haul/api.js";
import { holdsKey } from "../../src/haul/api-key.js";
import { type AboutHaul, describeStatus } from "../../src/haul/status.js";
import { probeOnce, reply, serve } from "./fake-client.js";

const KEY = "the-key-of-this-haul";

/** The API that Haul really has. Returns its URL. */
async function startHaulApi(about: Partial<AboutHaul> = {}): Promise<string> {
  const all = { name: "haul", version: "1.2.3", instanceId: "an-id", pulse: "http://p", ...about };
  const status = () => describeStatus(all, new Map());
  const accepts = (headers: IncomingHttpHeaders) => holdsKey(headers, [KEY]);
  const api = await startApi({
    host: "127.0.0.1",
    port: 0,
    status,
    accepts,
    rotate: () => undefined,
  });
  onTestFinished(() => api.close());
  return api.url;
}

const probe = async (secret?: string, url?: string) =>
  probeOnce({ kind: "haul", url: url ?? (await startHaulApi()), ...(secret && { secret }) });

describe("Haul", () => {
  it("with its key tells its version; load it has none", async () => {
    expect(await probe(KEY)).toEqual({
      outcome: "ok",
      message: "Haul 1.2.3 answers",
      version: "1.2.3",
      load: {},
      credentials: "accepted",
    });
  });

  it("that does not tell its version is well all the same", async () => {
    expect(await probe(KEY, await startHaulApi({ version: "" }))).toMatchObject({
      outcome: "ok",
      message: "Haul answers",
      version: "",
    });
  });

  it("is found below a URL base, with or without a slash at its end", async () => {
    const haul = await startHaulApi();
    const proxy = await serve(async (request, response) => {
      const path = /^\/base(\/.*)$/.exec(request.url ?? "")?.[1];
      if (!path) return reply(response, 404, "");
      const headers = { "x-api-key": String(request.headers["x-api-key"] ?? "") };
      const answer = await fetch(haul + path, { headers });
      reply(response, answer.status, await answer.text());
    });
    for (const base of ["/base", "/base/"])
      expect(await probe(KEY, proxy + base)).toMatchObject({ outcome: "ok" });
  });

  it.each([
    ["a wrong key", "plain-wrong"],
    ["half of the key", KEY.slice(0, -1)],
    ["a key that no header can hold", "plain-wrong\r\nx-api-key: …"],
    ["a key far too long", "plain-wrong".repeat(1_000)],
  ])("refuses %s, and the message says where the right one is", async (_, secret) => {
    const refused = await probe(secret);
    expect(refused.outcome).toBe("authentication-failed");
    expect(refused.message).toContain("refuses the API key");
    expect(refused.message).toContain("api.key");
    expect(refused.message).not.toContain(secret);
  });

  it("wants a key where there is none", async () => {
    expect(await probe()).toMatchObject({
      outcome: "authentication-failed",
      message: expect.stringContaining("wants its API key"),
    });
  });
});

describe("what is no Haul", () => {
  const HEALTHY = '{"status":"ok"}';
  const answering =
    (health: string, status: string, code = 200): RequestListener =>
    (request, response) =>
      request.url === "/health" ? reply(response, 200, health) : reply(response, code, status);

  it.each([
    ["healthy in other words", answering('{"status":"pass"}', "{}")],
    ["healthy in no JSON", answering("ok", "{}")],
    ["without a status", answering(HEALTHY, '{"error":"not found"}', 404)],
    ["with the status of another program", answering(HEALTHY, '{"version":"1.0"}')],
    ["with a page for a status", answering(HEALTHY, "<html>")],
    ["a proxy that refuses with a page", answering(HEALTHY, "<html>", 401)],
  ])("%s is of the wrong kind, whatever the key", async (_, listener) => {
    expect(await probe(KEY, await serve(listener))).toMatchObject({ outcome: "wrong-kind" });
  });

  it("never sees the key, if its health already shows it", async () => {
    const seen: unknown[] = [];
    const other = await serve((request, response) => {
      seen.push([request.url, request.headers["x-api-key"]]);
      response.end("<html>");
    });
    await probe(KEY, other);
    expect(seen).toEqual([["/health", undefined]]);
  });
});
