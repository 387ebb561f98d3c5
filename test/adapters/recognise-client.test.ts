import type { RequestListener } from "node:http";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { CALL_TIMEOUT_MS } from "../../src/adapters/http-call.js";
import { recogniseClient } from "../../src/adapters/probe.js";
import { startApi } from "../../src/haul/api.js";
import { systemClock } from "../../src/lib/clock.js";
import { eventually } from "../support/eventually.js";
import { freePort } from "../support/free-port.js";
import { ManualClock } from "../support/manual-clock.js";
import { bodyOf, FakeQBittorrent, reply, serve } from "./fake-client.js";
import { FakeDeluge } from "./fake-deluge.js";
import { FakeSabnzbd } from "./fake-sabnzbd.js";

const { signal } = new AbortController();
const recognise = (url: string) => recogniseClient(url, { clock: systemClock, signal });

describe("a download client is recognised", () => {
  it.each(["v4.5.2", "v5.1.0"])("qBittorrent %s, closed or open", async (version) => {
    const qbittorrent = new FakeQBittorrent();
    qbittorrent.version = version;
    const url = await serve(qbittorrent.listener);
    expect(await recognise(url)).toBe("qbittorrent");
    qbittorrent.open = true;
    expect(await recognise(url)).toBe("qbittorrent");
    expect(qbittorrent.logins).toBe(0);
  });

  it("aria2, with a secret or without", async () => {
    const version = { version: "1.36.0", enabledFeatures: ["BitTorrent"] };
    for (const [status, fields] of [
      [400, { error: { code: 1, message: "Unauthorized" } }],
      [200, { result: version }],
    ] as const) {
      const url = await serve(async (request, response) => {
        const body = await bodyOf(request);
        if (request.url !== "/jsonrpc") return reply(response, 404, "");
        const { id } = JSON.parse(body);
        return reply(response, status, JSON.stringify({ jsonrpc: "2.0", id, ...fields }));
      });
      expect(await recognise(url)).toBe("aria2");
    }
  });

  it("Deluge, below its URL base, with a daemon or without", async () => {
    const deluge = new FakeDeluge();
    const url = await serve(deluge.listener);
    for (const isConnected of [true, false]) {
      deluge.isConnected = isConnected;
      expect(await recognise(`${url}/base/`)).toBe("deluge");
    }
    expect(new Set(deluge.methods)).toEqual(new Set(["auth.check_session"]));
  });

  it("SABnzbd, which need not warn of anybody without its key", async () => {
    const sabnzbd = new FakeSabnzbd();
    const url = await serve(sabnzbd.listener);
    expect(await recognise(`${url}/base`)).toBe("sabnzbd");
    const atApi = sabnzbd.urls.filter((url) => url.includes("/api"));
    expect(atApi).toEqual(["/base/api"]);
    expect(sabnzbd.warnings).toBe(0);
  });

  it("SABnzbd that does not know the host name", async () => {
    const sabnzbd = new FakeSabnzbd();
    sabnzbd.lockedOut = "Access denied - Hostname verification failed: https://x";
    expect(await recognise(`${await serve(sabnzbd.listener)}/base`)).toBe("sabnzbd");
  });

  it("Transmission, which counts each question", async () => {
    let asked = 0;
    const url = await serve((_, response) => {
      asked += 1;
      response.setHeader("server", "Transmission");
      response.setHeader("www-authenticate", 'Basic realm="Transmission"');
      reply(response, 401, "<h1>401: Unauthorized</h1>");
    });
    expect(await recognise(url)).toBe("transmission");
    expect(asked).toBe(1);
  });

  it("NZBGet", async () => {
    const url = await serve((_, response) => {
      response.setHeader("www-authenticate", 'Basic realm="NZBGet"');
      reply(response, 401, "");
    });
    expect(await recognise(url)).toBe("nzbget");
  });

  it("Haul", async () => {
    const unused = () => {
      throw new Error("nobody asks for that");
    };
    const options = { host: "127.0.0.1", port: 0, accepts: () => false };
    const api = await startApi({ ...options, status: unused, rotate: unused });
    onTestFinished(() => api.close());
    expect(await recognise(api.url)).toBe("haul");
  });
});

describe("no download client is", () => {
  const always =
    (status: number, body: string): RequestListener =>
    (_, response) =>
      reply(response, status, body);

  it.each([
    ["a web server", always(200, "<html>v4.5.2</html>")],
    ["one that has no such page", always(404, "Not Found")],
    ["one that answers Ok. to everything", always(200, "Ok.")],
    ["one that wants a login for everything", always(401, "Unauthorized")],
    ["one that lets in nobody", always(403, '{"error":"Forbidden"}')],
    ["an API that answers {} to everything", always(200, "{}")],
    ["an API that tells its version", always(200, '{"version":"4.5.0"}')],
    ["an API that says no to everything", always(200, '{"result":false,"error":null,"id":1}')],
    [
      "one that says what it was told",
      async (request: Parameters<RequestListener>[0], response: Parameters<RequestListener>[1]) =>
        reply(response, 200, await bodyOf(request)),
    ],
  ])("%s", async (_, listener) => {
    expect(await recognise(await serve(listener))).toBeUndefined();
  });

  it("nobody", async () => {
    expect(await recognise(`http://127.0.0.1:${await freePort()}`)).toBeUndefined();
  });
});

describe("what stays silent", () => {
  let clock: ManualClock;
  let asked: number;
  let url: string;
  beforeEach(async () => {
    clock = new ManualClock();
    asked = 0;
    url = await serve(() => void asked++);
  });

  it("is asked one question, for 5 s", async () => {
    const recognising = recogniseClient(url, { clock, signal });
    await eventually(() => expect(asked).toBe(1));
    clock.advanceSync(CALL_TIMEOUT_MS);
    expect(await recognising).toBeUndefined();
    expect(asked).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it("is left alone with the signal's reason when that aborts", async () => {
    const controller = new AbortController();
    const recognising = recogniseClient(url, { clock, signal: controller.signal });
    await eventually(() => expect(asked).toBe(1));
    controller.abort(new Error("enough"));
    await expect(recognising).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
  });
});
