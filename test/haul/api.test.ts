import { type IncomingHttpHeaders, request } from "node:http";
import { createServer } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { startApi } from "../../src/haul/api.js";
import { holdsKey } from "../../src/haul/api-key.js";
import type { Rotate } from "../../src/haul/rotation.js";
import { StartError } from "../../src/haul/start-error.js";

const KEY = "the-key-of-this-haul";
const accepts = (headers: IncomingHttpHeaders) => holdsKey(headers, [KEY]);
let rotations: number[];
let rotate: () => Rotate | undefined;
let url: string;
beforeEach(async () => {
  rotations = [];
  rotate = () => async (overlapMs) => {
    rotations.push(overlapMs);
    return { what: "api-key", pulse: "told" };
  };
  const status = () => ({ name: "haul" });
  const api = await startApi({ host: "127.0.0.1", port: 0, accepts, rotate, status });
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

  it("closes with a connection open", async () => {
    const api = await startApi({ host: "127.0.0.1", port: 0, accepts, rotate, status: () => ({}) });
    await fetch(`${api.url}/health`);
    await api.close();
    await expect(fetch(`${api.url}/health`)).rejects.toThrow();
  });

  it("says which port is in use and what to do", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const starting = startApi({ host: "127.0.0.1", port, accepts, rotate, status: () => ({}) });
    await expect(starting).rejects.toThrow(StartError);
    await expect(starting).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the port is in use: stop the program that has it, or give another with --listen`,
    );
  });
});
