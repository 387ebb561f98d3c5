import { type IncomingHttpHeaders, request } from "node:http";
import { createServer } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { startApi } from "../../src/haul/api.js";
import { holdsKey } from "../../src/haul/api-key.js";
import { type Rotate, type RotateRequest, RotationRefused } from "../../src/haul/rotation.js";
import { StartError } from "../../src/haul/start-error.js";

const KEY = "the-key-of-this-haul";
const accepts = (headers: IncomingHttpHeaders) => holdsKey(headers, [KEY]);
let rotations: RotateRequest[];
let rotate: () => Rotate | undefined;
let url: string;
beforeEach(async () => {
  rotations = [];
  rotate = () => async (request) => {
    rotations.push(request);
    return { what: "api-key", pulse: "told" };
  };
  const status = () => ({ name: "haul" });
  const api = await startApi({
    host: "127.0.0.1",
    port: 0,
    accepts,
    rotate: () => rotate(),
    status,
  });
  ({ url } = api);
  onTestFinished(() => api.close());
});

async function ask(path: string, init: RequestInit = {}) {
  const response = await fetch(url + path, init);
  expect(response.headers.get("content-type")).toContain("application/json");
  expect(response.headers.get("cache-control")).toBe("no-store");
  return { status: response.status, body: await response.json() };
}

describe("Haul's API", () => {
  it("says to everybody that it is well", async () => {
    expect(await ask("/health")).toEqual({ status: 200, body: { status: "ok" } });
  });

  it.each([{ "x-api-key": KEY }, { authorization: `Bearer ${KEY}` }])(
    "tells its status to who has the key: %o",
    async (headers: Record<string, string>) => {
      expect(await ask("/api/status", { headers })).toEqual({
        status: 200,
        body: { name: "haul" },
      });
    },
  );

  it("answers everyone else alike: no key, a wrong one, the wrong scheme, half of it", async () => {
    const others: Record<string, string>[] = [
      {},
      { "x-api-key": "" },
      { "x-api-key": "nonsense" },
      { "x-api-key": KEY.slice(0, -1) },
      { "x-api-key": `${KEY}x` },
      { authorization: `Basic ${KEY}` },
      { authorization: KEY },
    ];
    const answers = await Promise.all(others.map((headers) => ask("/api/status", { headers })));
    expect(answers[0]?.status).toBe(401);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(JSON.stringify(answers)).not.toContain(KEY);
  });

  it.each(["/", "/api", "/api/status/", "/constructor", "/health/x"])(
    "has nothing at %s",
    async (path) => {
      expect((await ask(path)).status).toBe(404);
    },
  );

  it("only answers GET, and reads no body", async () => {
    for (const path of ["/health", "/api/status"])
      expect((await ask(path, { method: "DELETE" })).status).toBe(405);
    const endless = request(`${url}/health`, { method: "POST" });
    const answered = new Promise<number | undefined>((resolve) =>
      endless.on("response", (response) => resolve(response.statusCode)),
    );
    const cut = new Promise((resolve) => endless.once("error", resolve));
    endless.write("x".repeat(100));
    expect(await answered).toBe(405);
    endless.write("x".repeat(10_000_000));
    await cut;
  });

  describe("rotates", () => {
    const headers = { "x-api-key": KEY, "content-type": "application/json" };
    const post = (change: Record<string, string> = {}, body = "{}") =>
      ask("/api/rotate-key", { method: "POST", headers: { ...headers, ...change }, body });

    it("for who has the key, and says when Pulse has the new one", async () => {
      expect(await post()).toEqual({ status: 200, body: { what: "api-key", pulse: "told" } });
      expect((await post({}, '{"overlapMs":5000,"client":"seedbox"}')).status).toBe(200);
      expect(rotations).toEqual([{ overlapMs: 60_000 }, { overlapMs: 5_000, client: "seedbox" }]);
      rotate = () => async () => ({ what: "api-key", pulse: "waiting" });
      expect((await post()).status).toBe(202);
    });

    it.each([
      ["no key", { "x-api-key": "" }, 401],
      ["a wrong key", { "x-api-key": "nonsense" }, 401],
      ["a web page's Origin", { origin: "http://evil.test" }, 403],
      ["its own Origin", { origin: "http://127.0.0.1" }, 403],
      ["a form", { "content-type": "application/x-www-form-urlencoded" }, 415],
      ["text, which pages may send", { "content-type": "text/plain" }, 415],
    ])("not with %s", async (_, change, status) => {
      expect((await post(change)).status).toBe(status);
      expect(rotations).toEqual([]);
    });

    it("not by a name that somebody else gave this host", async () => {
      const statusFor = (host: string) =>
        new Promise((resolve, reject) => {
          const call = request(`${url}/api/rotate-key`, {
            method: "POST",
            headers: { ...headers, host },
          });
          call
            .on("response", ({ statusCode }) => resolve(statusCode))
            .on("error", reject)
            .end("{}");
        });
      for (const host of ["evil.test", "evil.test:80", "127.0.0.1.evil.test"])
        expect([host, await statusFor(host)]).toEqual([host, 403]);
      expect(rotations).toEqual([]);
      for (const host of ["localhost:9797", "127.0.0.1", "[::1]:9797", "192.168.1.10:9797"])
        expect([host, await statusFor(host)]).toEqual([host, 200]);
    });

    it("not with a body that is none, or too long", async () => {
      for (const body of [
        "",
        "null",
        "[",
        '{"overlapMs":0}',
        '{"overlapMs":"1"}',
        '{"overlapMs":1e12}',
        '{"client":7}',
      ])
        expect([body, (await post({}, body)).status]).toEqual([body, 400]);
      expect((await post({}, `{"overlapMs":1${" ".repeat(2_000)}}`)).status).toBe(400);
      expect(rotations).toEqual([]);
    });

    it("not by GET, and tells no page that it may", async () => {
      expect((await ask("/api/rotate-key", { headers })).status).toBe(405);
      const preflight = await fetch(`${url}/api/rotate-key`, {
        method: "OPTIONS",
        headers: { origin: "http://evil.test", "access-control-request-method": "POST" },
      });
      expect(preflight.status).toBe(405);
      expect([...preflight.headers.keys()].filter((name) => name.startsWith("access-"))).toEqual(
        [],
      );
    });

    it("says why if it cannot", async () => {
      rotate = () => undefined;
      expect((await post()).status).toBe(503);
      rotate = () => () => Promise.reject(new RotationRefused("because"));
      expect(await post()).toEqual({ status: 409, body: { error: "because" } });
      rotate = () => () => Promise.reject(new Error("plain-secret"));
      const failed = await post();
      expect(failed.status).toBe(500);
      expect(JSON.stringify(failed)).not.toContain("plain-secret");
    });
  });

  it("closes with a connection open", async () => {
    const api = await startApi({
      host: "127.0.0.1",
      port: 0,
      accepts,
      rotate: () => rotate(),
      status: () => ({}),
    });
    await fetch(`${api.url}/health`);
    await api.close();
    await expect(fetch(`${api.url}/health`)).rejects.toThrow();
  });

  it("says which port is in use and what to do", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const starting = startApi({
      host: "127.0.0.1",
      port,
      accepts,
      rotate: () => rotate(),
      status: () => ({}),
    });
    await expect(starting).rejects.toThrow(StartError);
    await expect(starting).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the port is in use: stop the program that has it, or give another with --listen`,
    );
  });
});
