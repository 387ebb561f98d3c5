import { execFile } from "node:child_process";
import { getEventListeners } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import {
  InvalidRequestError,
  type StreamItem,
  streamDownloadClientResponses,
  streamServiceResponses,
  type WatchEvent,
  type WatchOptions,
  watchDownloadClients,
  watchServices,
} from "../../src/client/index.js";
import { systemClock } from "../../src/lib/clock.js";
import { mount, startServer, type WireServer } from "../../src/wire/server.js";
import { eventually } from "../support/eventually.js";
import { HAUL, TestPulse } from "../support/pulse.js";
import { freePort } from "../support/stack.js";
import { bookmark, FakeWatchServer, put, snapshot } from "./fake-watch-server.js";

// All of the client's half in one piece: real connections, in real time.

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A fake Pulse on loopback. */
async function serve(fake: FakeWatchServer, port = 0): Promise<WireServer> {
  const implementation: ServiceImpl<typeof DownloadClientService> = {
    watchDownloadClients: fake.handler,
    listDownloadClients: notHere,
    createDownloadClient: notHere,
    updateDownloadClient: notHere,
    deleteDownloadClient: notHere,
    restoreDownloadClient: notHere,
    testDownloadClient: notHere,
  };
  const server = await startServer({
    host: "127.0.0.1",
    port,
    clock: systemClock,
    mounts: [mount(DownloadClientService, implementation)],
    routes: () => false,
    onInternalError: () => {},
  });
  closers.push(() => server.stop(0));
  return server;
}

function notHere(): never {
  throw new ConnectError("this Pulse can only be watched", Code.Unimplemented);
}

/** What comes until `done`, in short. */
async function told<Item extends { id: string }>(
  events: AsyncIterable<WatchEvent<Item>>,
  done: (event: WatchEvent<Item>) => boolean = ({ type }) => type === "synced",
): Promise<string[]> {
  const all: string[] = [];
  for await (const event of events) {
    all.push("item" in event ? `${event.type} ${event.reason}` : event.type);
    if (done(event)) break;
  }
  return all;
}

describe("options", () => {
  const usable = { pulse: "http://127.0.0.1:1", token: "t0ken" };

  it.each<[string, object, RegExp]>([
    ["no address", { pulse: "" }, /pulse is empty/],
    ["a token that is none", { token: "t0ken\n two" }, /token is empty or has characters/],
    ["an unknown word", { filter: { protocol: "http" } }, /filter\.protocol/],
    ["a cache without a file", { cache: { file: "" } }, /cache\.file is missing/],
    ["a signal that is none", { signal: 5 }, /signal must be an AbortSignal/],
  ])("with %s are refused at once", (_, wrong, message) => {
    const options = { ...usable, ...wrong } as WatchOptions<object>;
    expect(() => watchDownloadClients(options)).toThrow(TypeError);
    expect(() => watchDownloadClients(options)).toThrow(message);
    expect(() => watchDownloadClients(options)).not.toThrow(/t0ken/);
  });

  it("of a raw stream are refused at once too", () => {
    const options = { ...usable, pulse: "ftp://x" };
    expect(() => streamDownloadClientResponses(options)).toThrow(TypeError);
    expect(() => streamServiceResponses(options)).toThrow(TypeError);
  });
});

describe("a watch over a real connection", () => {
  it("comes up, is lost with the server, and is in step within seconds of its return", async () => {
    const fake = new FakeWatchServer();
    fake.greeting = ({ resumeToken }) =>
      resumeToken ? [put("b", 6), bookmark(6)] : [snapshot(["a"], 5)];
    const { port, stop } = await serve(fake);
    const watch = watchDownloadClients({ pulse: `127.0.0.1:${port}`, token: "t0ken" });
    closers.push(() => watch.close());
    await eventually(() => expect(watch.current().state).toBe("live"));
    await stop(0);
    await eventually(() => expect(watch.current().state).toBe("stale"));
    await serve(fake, port);
    await eventually(() => expect(watch.current().state).toBe("live"));
    expect(watch.current().items.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(fake.requests.map(({ resumeToken }) => resumeToken)).toEqual(["", "t5"]);
  });

  it("leaves no stream on the server when it is closed", async () => {
    const fake = new FakeWatchServer();
    const { port } = await serve(fake);
    const controller = new AbortController();
    const options = { pulse: `127.0.0.1:${port}`, token: "t0ken" };
    const watches = [
      watchDownloadClients({ ...options, signal: controller.signal }),
      watchDownloadClients(options),
    ];
    await eventually(() => expect(fake.streams.size).toBe(2));
    controller.abort();
    await Promise.all(watches.map((watch) => watch.close()));
    await eventually(() => expect(fake.streams.size).toBe(0));
  });
});

describe("raw responses", () => {
  let fake: FakeWatchServer;
  let pulse: string;
  beforeEach(async () => {
    fake = new FakeWatchServer();
    pulse = `127.0.0.1:${(await serve(fake)).port}`;
  });

  it("come as they were sent, across losses, and leave no stream behind", async () => {
    fake.greeting = ({ resumeToken }) =>
      resumeToken ? [bookmark(6)] : [snapshot(["a"], 5, { more: true }), snapshot(["b"], 5)];
    const seen: string[] = [];
    for await (const item of streamDownloadClientResponses({ pulse, token: "t0ken" })) {
      seen.push(item.type === "response" ? `${item.response.event.case}` : item.type);
      if (seen.length === 2) fake.stream.end(new ConnectError("gone", Code.Unavailable));
      if (seen.at(-1) === "bookmark") break;
    }
    expect(seen).toEqual(["snapshot", "snapshot", "interrupted", "bookmark"]);
    await eventually(() => expect(fake.streams.size).toBe(0));
  });

  it("end with the signal, and with a `return` while a `next` waits", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const one = streamDownloadClientResponses({ pulse, token: "t0ken", signal });
    const two = streamDownloadClientResponses({ pulse, token: "t0ken" })[Symbol.asyncIterator]();
    const ends = [one[Symbol.asyncIterator]().next(), two.next()];
    await eventually(() => expect(fake.streams.size).toBe(2));
    controller.abort();
    await two.return?.();
    expect(await Promise.all(ends)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    await eventually(() => expect(fake.streams.size).toBe(0));
    expect(await one[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("say that the token is refused, and end with an error if the request is", async () => {
    fake.mood = new ConnectError("unknown token", Code.Unauthenticated);
    const { signal } = new AbortController();
    const stream = streamDownloadClientResponses({ pulse, token: "t0ken", signal });
    const items = stream[Symbol.asyncIterator]();
    const { value } = (await items.next()) as { value: StreamItem<unknown> };
    expect(value).toMatchObject({ type: "rejected" });
    await items.return?.();
    fake.mood = new ConnectError("kinds: is bad", Code.InvalidArgument);
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow(InvalidRequestError);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});

describe("a program that watches", () => {
  let port: number;
  beforeEach(async () => {
    port = await freePort();
  });

  function run(program: string): Promise<string> {
    const text = `
      import { watchDownloadClients, streamDownloadClientResponses } from "./src/client/index.js";
      const options = { pulse: "127.0.0.1:${port}", token: "t0ken" };
      ${program}
    `;
    const flags = ["--import", "tsx", "--input-type=module", "--eval", text];
    const cwd = join(import.meta.dirname, "..", "..");
    return promisify(execFile)(process.execPath, flags, { cwd, timeout: 15_000 }).then(
      ({ stdout }) => stdout,
    );
  }

  it("and has nothing more to do ends by itself, whether Pulse is there or not", async () => {
    expect(await run("watchDownloadClients(options); console.log('over')")).toBe("over\n");
    const fake = new FakeWatchServer();
    fake.greeting = () => [snapshot(["a"], 5)];
    await serve(fake, port);
    const program = `
      const watch = watchDownloadClients(options);
      for await (const event of watch) if (event.type === "synced") break;
      console.log(watch.current().items.length);
    `;
    expect(await run(program)).toBe("1\n");
  });

  it.each([
    ["events", "for await (const { type } of watchDownloadClients(options))", "synced"],
    [
      "responses",
      "for await (const { type } of streamDownloadClientResponses(options))",
      "response",
    ],
  ])("and awaits %s is held until they come", async (_, loop, awaited) => {
    const running = run(`${loop} if (type === "${awaited}") break; console.log("there")`);
    await new Promise((resolve) => setTimeout(resolve, 2_000)); // without a hold it would be over
    const fake = new FakeWatchServer();
    fake.greeting = () => [snapshot(["a"], 5)];
    await serve(fake, port);
    expect(await running).toBe("there\n");
  });
});

describe("a watch of a real Pulse", () => {
  it("follows entries and services through a restart, and starts from its file without Pulse", async () => {
    const directory = await mkdtemp(join(tmpdir(), "pulse-watch-"));
    closers.push(() => rm(directory, { recursive: true, force: true }));
    const pulse = await TestPulse.start();
    let isRunning = true;
    closers.push(() => isRunning && pulse.stop());
    const token = await pulse.fileToken("service");
    const options = {
      pulse: pulse.server.url,
      token,
      filter: { kinds: ["qbittorrent"] },
      cache: { file: join(directory, "clients") },
    };
    const clients = watchDownloadClients(options);
    const services = watchServices({ pulse: pulse.server.url, token });
    closers.push(
      () => clients.close(),
      () => services.close(),
    );
    const reader = clients[Symbol.asyncIterator]();
    const events = { [Symbol.asyncIterator]: () => ({ next: () => reader.next() }) };
    expect(await told(events)).toEqual(["synced"]);

    const { registry } = pulse.clients("gRPC", token);
    const { downloadClient, revision } = await registry.register(HAUL);
    expect(await told(events, ({ type }) => type === "put")).toEqual(["put registered"]);
    expect(clients.current()).toMatchObject({
      state: "live",
      revision,
      items: [{ id: downloadClient?.id, password: HAUL.serviceApiKey }],
    });
    await eventually(() => expect(services.current().items).toHaveLength(1));

    await pulse.restart();
    expect(await told(events)).toEqual(["stale", "synced"]);
    const { instanceId, instanceSecret } = HAUL;
    const again = pulse.clients("gRPC", token).registry;
    await again.deregister({ instanceId, instanceSecret });
    expect(await told(events, ({ type }) => type === "delete")).toEqual(["delete deregistered"]);
    await eventually(() => expect(services.current().items).toEqual([]));

    await again.register(HAUL);
    expect(await told(events, ({ type }) => type === "put")).toHaveLength(1);
    await clients.close();
    isRunning = false;
    await pulse.stop();
    const next = watchDownloadClients(options);
    closers.push(() => next.close());
    expect(await told(next, ({ type }) => type === "stale")).toEqual(["put snapshot", "stale"]);
    expect(next.current()).toMatchObject({
      state: "stale",
      items: [{ id: downloadClient?.id, password: HAUL.serviceApiKey }],
    });
  });
});
