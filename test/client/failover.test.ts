import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { type HeartbeatRequest, RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import {
  connectPulse,
  createRegistrationGroup,
  startRegistration,
  watchDownloadClients,
} from "../../src/client/index.js";
import type { RegistrationEvent } from "../../src/client/registration.js";
import { systemClock } from "../../src/lib/clock.js";
import { mount, startServer } from "../../src/wire/server.js";
import { eventually } from "../support/eventually.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import { startSilent } from "../wire/loopback-node.js";
import { FakePulse } from "./fake-pulse.js";
import { bookmark, FakeWatchServer, put, snapshot } from "./fake-watch-server.js";

// All of the client's half in one piece, with several nodes of one Pulse: real
// connections to 127.0.0.1, 127.0.0.2 …, in real time.

/** One registry, and what is watched of it, whichever node is asked. */
let pulse: FakePulse;
let watched: FakeWatchServer;
let nodes: Node[];
const closers: (() => unknown)[] = [];
beforeEach(() => {
  pulse = new FakePulse();
  watched = new FakeWatchServer();
  nodes = [];
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Node {
  readonly place: string;
  /** `draining`: it takes connections, and tells everyone that it is stopping. */
  mood: "well" | ConnectError | "draining";
  /** Calls that it got. */
  readonly calls: string[];
  /** Ends the open heartbeat stream with this; as it is draining, it says so before. */
  endStream: (error: ConnectError) => void;
  stop(): Promise<void>;
}

function status(reason: string, retryAfterMs: number): ConnectError {
  const retryDelay = durationFromMs(retryAfterMs);
  return new ConnectError(reason, Code.Unavailable, undefined, [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "pulse" }) },
    { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) },
  ]);
}

const MINUTE = { retryAfter: durationFromMs(60_000) };
const missing = () => {
  throw new ConnectError("not here", Code.Unimplemented);
};

async function startNode(host: string, port = 0): Promise<Node & { readonly port: number }> {
  const calls: string[] = [];
  const meet = (call: string) => {
    calls.push(call);
    if (node.mood instanceof ConnectError) throw node.mood;
    if (node.mood === "draining") throw status("DRAINING", 60_000);
  };
  const registry: ServiceImpl<typeof RegistryService> = {
    register(request, context) {
      meet("register");
      return pulse.handlers.register(request, context);
    },
    async *heartbeat(requests: AsyncIterable<HeartbeatRequest>, context) {
      meet("heartbeat");
      const answers = pulse.handlers.heartbeat(requests, context)[Symbol.asyncIterator]();
      const ended = new Promise<ConnectError>((resolve) => {
        node.endStream = resolve;
      });
      for (;;) {
        const next = await Promise.race([answers.next(), ended]);
        if (next instanceof ConnectError) {
          if (node.mood === "draining") yield { event: { case: "draining", value: MINUTE } };
          throw next;
        }
        if (next.done) return;
        yield next.value;
      }
    },
    listServices() {
      meet("list");
      return { revision: 7n };
    },
    deregister: missing,
    getService: missing,
    watchServices: missing,
    explainService: missing,
    approveService: missing,
  };
  const entries: ServiceImpl<typeof DownloadClientService> = {
    async *watchDownloadClients(request, context) {
      meet("watch");
      yield* watched.handler(request, context);
    },
    listDownloadClients: missing,
    createDownloadClient: missing,
    updateDownloadClient: missing,
    deleteDownloadClient: missing,
    restoreDownloadClient: missing,
    testDownloadClient: missing,
  };
  const server = await startServer({
    host,
    port,
    clock: systemClock,
    mounts: [mount(RegistryService, registry), mount(DownloadClientService, entries)],
    routes: () => false,
    onInternalError: () => {},
  });
  const node: Node & { readonly port: number } = {
    place: `${host}:${server.port}`,
    port: server.port,
    mood: "well",
    calls,
    endStream: () => {},
    stop: () => server.stop(0),
  };
  closers.push(() => server.stop(0));
  return node;
}

async function startNodes(count: number): Promise<void> {
  let port = 0;
  for (let i = 1; i <= count; i++) {
    const node = await startNode(`127.0.0.${i}`, port);
    ({ port } = node);
    nodes.push(node);
  }
}

/** The nodes as an option has them. */
const addresses = () => nodes.map(({ place }) => place).join(", ");
const nodeAt = (place: string | undefined): Node => {
  const node = nodes.find((each) => each.place === place);
  if (!node) throw new Error(`there is no node at ${place}`);
  return node;
};

function register(pulseOption = addresses(), seed = 1) {
  const events: RegistrationEvent[] = [];
  const log = recordingLog();
  const registration = startRegistration({
    pulse: pulseOption,
    token: "t0ken",
    service: { name: "n", type: "t" },
    identity: { instanceId: "a", instanceSecret: "s3cret-s3cret-s3cret" },
    random: seededRandom(seed),
    log,
  });
  closers.push(() => registration.close());
  registration.subscribe((event) => events.push(event));
  /** Waits for the next event of that type, and says where it happened. */
  const endpointOf = (type: "registered" | "reconnected") =>
    eventually(() => {
      const event = events.findLast((each) => each.type === type);
      if (event?.type !== type || !event.endpoint) throw new Error(`not ${type} yet`);
      return event.endpoint;
    }, 3_000);
  return { registration, events, log, endpointOf };
}

describe("a registration with several nodes", () => {
  it("is with one of them, says which, and is with no other", async () => {
    await startNodes(3);
    const { endpointOf, log } = register();
    const place = await endpointOf("registered");
    await eventually(() => expect(nodeAt(place).calls).toEqual(["register", "heartbeat"]));
    expect(nodes.flatMap(({ calls }) => calls)).toHaveLength(2);
    expect(log.lines.find(({ msg }) => msg === "registered with Pulse")?.fields).toMatchObject({
      pulse: nodes.map((node) => `http://${node.place}`).join(","),
      endpoint: place,
    });
  });

  it("goes on with its lease on another when its node is gone", async () => {
    await startNodes(3);
    const { endpointOf, events } = register();
    const before = await endpointOf("registered");
    await eventually(() => expect(pulse.beats).toHaveLength(1));
    await nodeAt(before).stop();
    const after = await endpointOf("reconnected");
    expect(after).not.toBe(before);
    expect(nodeAt(after).calls).toEqual(["heartbeat"]);
    expect(events.at(-1)).toMatchObject({ type: "reconnected", registeredAnew: false });
    expect(pulse.registers).toHaveLength(1);
  });

  it("does not wait as long as a node that is stopping asks, and does not come back to it", async () => {
    await startNodes(2);
    const { endpointOf, events } = register();
    const before = await endpointOf("registered");
    await eventually(() => expect(pulse.beats).toHaveLength(1));
    nodeAt(before).mood = "draining"; // it still takes connections
    nodeAt(before).endStream(status("DRAINING", 60_000));
    const after = await endpointOf("reconnected");
    expect(after).not.toBe(before);
    expect(events.map(({ type }) => type)).toEqual(["registered", "disconnected", "reconnected"]);
    expect(pulse.registers).toHaveLength(1);
  });

  it("leaves a node whose database is away, as soon as that allows", async () => {
    await startNodes(2);
    const { endpointOf, events } = register();
    const before = await endpointOf("registered");
    await eventually(() => expect(pulse.beats).toHaveLength(1));
    nodeAt(before).endStream(status("STORE_UNAVAILABLE", 300));
    expect(await endpointOf("reconnected")).not.toBe(before);
    const [lost] = events.flatMap((event) => (event.type === "disconnected" ? [event] : []));
    expect(lost?.retryInMs).toBeGreaterThanOrEqual(300);
    expect(lost?.retryInMs).toBeLessThan(800);
  });

  it("begins on the next one if a node says that it is stopping, or nothing at all", async () => {
    await startNodes(3);
    const stopped = await startSilent("127.0.0.4");
    closers.push(() => stopped.stop());
    for (const node of nodes.slice(0, 2)) node.mood = "draining";
    for (let seed = 1; seed <= 4; seed++) {
      const { registration, endpointOf } = register(`${stopped.address},${addresses()}`, seed);
      expect(await endpointOf("registered")).toBe(nodes[2]?.place);
      await registration.close();
    }
  });
});

describe("a group with several nodes", () => {
  it("moves with all its registrations to one other node when theirs is gone", async () => {
    await startNodes(3);
    const group = createRegistrationGroup({
      pulse: addresses(),
      token: "t0ken",
      random: seededRandom(5),
    });
    closers.push(() => group.close());
    const places = ["a", "b", "c", "d"].map((name) => {
      const registration = group.register({
        service: { name, type: "t" },
        identity: { instanceId: name, instanceSecret: "s3cret-s3cret-s3cret" },
      });
      const seen: string[] = [];
      registration.subscribe((event) => {
        if ("endpoint" in event && event.endpoint) seen.push(event.endpoint);
      });
      return seen;
    });
    await eventually(() => expect(pulse.beats).toHaveLength(4), 3_000);
    const first = nodeAt(places[0]?.[0]);
    await first.stop();
    await eventually(() => expect(places.map(({ length }) => length)).toEqual([2, 2, 2, 2]), 3_000);
    expect(new Set(places.flatMap(([before]) => before))).toEqual(new Set([first.place]));
    const [after = "", ...elsewhere] = new Set(places.flatMap(([, place]) => place));
    expect(elsewhere).toEqual([]);
    expect(nodeAt(after).calls).toEqual(["heartbeat"]);
    const third = nodes.find(({ place }) => place !== first.place && place !== after);
    expect(third?.calls).toEqual([]);
    expect(pulse.registers).toHaveLength(4);
  });
});

describe("a watch with several nodes", () => {
  it("goes on from its token on another when its node is gone or stopping", async () => {
    await startNodes(3);
    watched.greeting = ({ resumeToken }) =>
      resumeToken === "" ? [snapshot(["a"], 5)] : [put("b", 6), bookmark(6)];
    const log = recordingLog();
    const watch = watchDownloadClients({
      pulse: addresses(),
      token: "t0ken",
      random: seededRandom(2),
      log,
    });
    closers.push(() => watch.close());
    await eventually(() => expect(watch.current().state).toBe("live"));
    const first = nodes.find(({ calls }) => calls.length > 0) as Node;
    expect(log.lines.at(-1)?.fields).toMatchObject({ event: "synced", endpoint: first.place });
    await first.stop();
    await eventually(() => expect(watch.current().items).toHaveLength(2), 3_000);
    expect(watched.requests.map(({ resumeToken }) => resumeToken)).toEqual(["", "t5"]);
    const second = nodes.find(({ calls }) => calls.length > 0 && calls !== first.calls) as Node;
    second.mood = "draining";
    watched.stream.end(status("DRAINING", 60_000));
    await eventually(() => expect(watched.requests).toHaveLength(3), 3_000);
    expect(nodes.map(({ calls }) => calls.length)).toEqual([1, 1, 1]);
  });
});

describe("calls with several nodes", () => {
  it("are answered by the next one, in the same call, when theirs is gone or stopping", async () => {
    await startNodes(3);
    const connection = connectPulse({
      pulse: addresses(),
      token: "t0ken",
      random: seededRandom(4),
    });
    closers.push(() => connection.close());
    const list = () => connection.registry.listServices({}, { timeoutMs: 3_000 });
    await list();
    const first = nodes.find(({ calls }) => calls.length > 0) as Node;
    await list();
    expect(first.calls).toHaveLength(2);
    first.mood = "draining";
    expect((await list()).revision).toBe(7n);
    const second = nodes.find(({ calls }) => calls.length > 0 && calls !== first.calls) as Node;
    await second.stop();
    expect((await list()).revision).toBe(7n);
  });

  it("that are not to be repeated reach one that is there", async () => {
    await startNodes(3);
    for (const node of nodes.slice(0, 2)) await node.stop();
    for (let seed = 1; seed <= 5; seed++) {
      const pulseOption = addresses();
      const random = seededRandom(seed);
      const connection = connectPulse({ pulse: pulseOption, token: "t", retry: "never", random });
      closers.push(() => connection.close());
      expect((await connection.registry.listServices({})).revision).toBe(7n);
    }
  });
});
