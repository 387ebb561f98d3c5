import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterEach, describe, expect, it } from "vitest";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import type { Lookup } from "../../src/wire/endpoint-lookup.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import type { ChannelUse } from "../../src/wire/grpc-channel.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { serviceOf, startBareServer } from "../support/bare-grpc-server.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";
import { startNode, startSilent } from "./loopback-node.js";

// Real sockets on loopback, in real time.

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Nodes of one Pulse on one port of 127.0.0.1, 127.0.0.2 and so on. */
async function startNodes(count: number) {
  const nodes: Awaited<ReturnType<typeof node>>[] = [];
  for (let i = 1; i <= count; i++) nodes.push(await node(`127.0.0.${i}`, nodes[0]?.port));
  return nodes;
}
async function node(host: string, port?: number) {
  const started = await startNode(host, port);
  closers.push(() => started.stop());
  return started;
}
async function silent(host: string, port?: number) {
  const started = await startSilent(host, port);
  closers.push(() => started.stop());
  return started;
}

/** Picks the first of those that are untried, always: so that a test knows where it begins. */
const inOrder = { ...seededRandom(), next: () => 0 };

function connect(
  addresses: readonly string[],
  {
    use = "calls",
    random = inOrder,
    lookup,
    clock,
  }: Partial<{
    use: ChannelUse;
    random: typeof inOrder;
    lookup: Lookup;
    clock: ManualClock;
  }> = {},
) {
  const endpoints = new Endpoints(addresses, {
    random,
    ...(lookup && { lookup }),
    ...(clock && { clock }),
  });
  const open = () => {
    const transport = createGrpcTransport({ address: endpoints, use });
    closers.push(() => transport.close());
    const { getService } = createClient(RegistryService, transport);
    /** Which node has answered, or the code of the error. */
    const ask = async (timeoutMs = 5_000) => {
      try {
        return (await getService({ id: "x" }, { timeoutMs })).service?.id;
      } catch (error) {
        return Code[ConnectError.from(error).code];
      }
    };
    return { transport, getService, ask };
  };
  return { endpoints, open, ...open() };
}

const addressesOf = (nodes: readonly { readonly address: string }[]) =>
  nodes.map(({ address }) => address);
const draining = () => {
  throw new ConnectError("stopping", Code.Unavailable);
};

describe("the first call", () => {
  it("goes to the next endpoint at once if one refuses, as part of the same attempt", async () => {
    const [first, second] = await startNodes(2);
    await first?.stop();
    const clock = new ManualClock(); // no head start ever passes
    const { ask, endpoints } = connect(addressesOf([first, second] as never), { clock });
    expect(await ask()).toBe("127.0.0.2");
    expect(endpoints.current?.place).toBe(`127.0.0.2:${second?.port}`);
  });

  it("does not wait for one that takes connections and says nothing, and drops that", async () => {
    const stopped = await silent("127.0.0.1");
    const { address } = await node("127.0.0.2");
    const clock = new ManualClock();
    const { ask } = connect([stopped.address, address], { clock });
    const answer = ask();
    await eventually(() => expect(stopped.sockets.size).toBe(1));
    await clock.advance(500);
    expect(await answer).toBe("127.0.0.2");
    await eventually(() => expect(stopped.sockets.size).toBe(0));
  });

  it("spends on two such no more than on each its head start", async () => {
    const stopped = [await silent("127.0.0.1"), await silent("127.0.0.2")];
    const { address } = await node("127.0.0.3");
    expect(await connect([...addressesOf(stopped), address]).ask(2_000)).toBe("127.0.0.3");
  });

  it("says why if nobody can be reached", async () => {
    const nodes = await startNodes(2);
    for (const each of nodes) await each.stop();
    const { getService, endpoints } = connect(addressesOf(nodes));
    await expect(getService({ id: "x" })).rejects.toMatchObject({
      code: Code.Unavailable,
      rawMessage: expect.stringMatching(/^no connection: connect ECONNREFUSED 127\.0\.0\.1:\d+$/),
    });
    expect(endpoints.others).toBe("tried");
  });

  it("says so if nobody says anything, five seconds after the last was tried", async () => {
    const stopped = [await silent("127.0.0.1"), await silent("127.0.0.2")];
    const clock = new ManualClock();
    const { getService } = connect(addressesOf(stopped), { clock });
    let error: unknown;
    void getService({ id: "x" }).catch((reason: unknown) => {
      error = reason;
    });
    await eventually(() => expect(stopped[0]?.sockets.size).toBe(1));
    expect(stopped[1]?.sockets.size).toBe(0);
    await clock.advance(500);
    await eventually(() => expect(stopped[1]?.sockets.size).toBe(1));
    await clock.advance(4_999);
    expect(error).toBeUndefined();
    await clock.advance(1);
    expect(error).toMatchObject({
      code: Code.Unavailable,
      rawMessage: expect.stringMatching(/^no connection: no answer from 127\.0\.0\.1:\d+, 127/),
    });
    expect(clock.pending).toBe(0);
    await eventually(() => expect(stopped.flatMap(({ sockets }) => [...sockets])).toEqual([]));
  });

  it("begins anywhere: clients spread", async () => {
    const nodes = await startNodes(3);
    const random = seededRandom(5);
    const answers: (string | undefined)[] = [];
    for (let i = 0; i < 60; i++) answers.push(await connect(addressesOf(nodes), { random }).ask());
    for (const each of nodes) {
      const { hostname } = new URL(each.address);
      expect(answers.filter((host) => host === hostname).length).toBeGreaterThanOrEqual(12);
    }
  });
});

describe("a client that works", () => {
  it("stays: one connection for all calls, and the same endpoint for the next connection", async () => {
    const nodes = await startNodes(3);
    const { ask, open, transport, endpoints } = connect(addressesOf(nodes), {
      random: seededRandom(3),
    });
    const first = await ask();
    for (let i = 0; i < 20; i++) expect(await ask()).toBe(first);
    transport.close();
    for (let i = 0; i < 5; i++) expect(await open().ask()).toBe(first);
    expect(endpoints.others).toBe("untried");
  });

  it("stays also where a call fails by its own fault", async () => {
    const nodes = await startNodes(2);
    const { ask } = connect(addressesOf(nodes));
    for (const code of [Code.NotFound, Code.Aborted, Code.ResourceExhausted, Code.Internal]) {
      (nodes[0] as (typeof nodes)[0]).answer = () => {
        throw new ConnectError("no", code);
      };
      expect(await ask()).toBe(Code[code]);
    }
    expect(nodes.map(({ calls }) => calls)).toEqual([4, 0]);
  });
});

describe("a call that fails", () => {
  it("as its node is stopping leads the next one to another, and running ones to their end", async () => {
    const [first, second] = (await startNodes(2)) as [Node, Node];
    const { ask, getService } = connect(addressesOf([first, second]));
    let finish = () => {};
    first.answer = () =>
      new Promise((resolve) => {
        finish = () => resolve({ service: { id: "slow" } });
      });
    const slow = getService({ id: "x" });
    await eventually(() => expect(first.calls).toBe(1));
    first.answer = draining;
    expect(await ask()).toBe("Unavailable");
    expect(await ask()).toBe("127.0.0.2");
    finish();
    expect((await slow).service?.id).toBe("slow");
    expect(await ask()).toBe("127.0.0.2");
  });

  it("as its node says nothing more leads the next one to another", async () => {
    const [first, second] = (await startNodes(2)) as [Node, Node];
    const { ask } = connect(addressesOf([first, second]));
    first.answer = () => new Promise(() => {});
    expect(await ask(200)).toBe("DeadlineExceeded");
    expect(await ask()).toBe("127.0.0.2");
  });

  it("with many others moves the client once", async () => {
    const nodes = await startNodes(3);
    const { ask } = connect(addressesOf(nodes));
    (nodes[0] as Node).answer = draining;
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask()));
    expect(answers).toEqual(Array(20).fill("Unavailable"));
    await ask();
    expect(nodes.map(({ calls }) => calls)).toEqual([20, 1, 0]);
  });

  it("on a connection for a session changes nothing until the session says so", async () => {
    const [first, second] = (await startNodes(2)) as [Node, Node];
    const { ask, endpoints } = connect(addressesOf([first, second]), { use: "background" });
    first.answer = draining;
    expect(await ask()).toBe("Unavailable");
    expect(await ask()).toBe("Unavailable");
    endpoints.leave();
    expect(await ask()).toBe("127.0.0.2");
  });

  it("where there is one endpoint only leads to the same one, on the same connection", async () => {
    const [only] = (await startNodes(1)) as [Node];
    const lookup: Lookup = async () => ["127.0.0.1"];
    for (const address of [only.address, `http://pulse:${only.port}`]) {
      const { ask } = connect([address], { lookup });
      only.answer = draining;
      expect(await ask()).toBe("Unavailable");
      only.answer = () => ({ service: { id: "again" } });
      expect(await ask()).toBe("again");
    }
  });
});

type Node = Awaited<ReturnType<typeof node>>;

describe("a connection that is lost", () => {
  it("by a node that ends is followed by one to another endpoint", async () => {
    const nodes = await startNodes(3);
    const { ask } = connect(addressesOf(nodes));
    expect(await ask()).toBe("127.0.0.1");
    await nodes[0]?.stop();
    await eventually(async () => expect(await ask()).not.toBe("Unavailable"), 2_000);
    await node("127.0.0.1", nodes[0]?.port);
    expect(await ask()).not.toBe("127.0.0.1"); // it stays where it has come to
  });

  it("comes up without a call when it is asked to; that is said if there was nobody before", async () => {
    const nodes = await startNodes(2);
    for (const each of nodes) await each.stop();
    const { transport, endpoints } = connect(addressesOf(nodes), { use: "background" });
    let ready = 0;
    transport.onReady(() => ready++);
    transport.connect();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ready).toBe(0);
    await node("127.0.0.2", nodes[0]?.port);
    await eventually(() => expect(ready).toBe(1), 3_000);
    await node("127.0.0.1", nodes[0]?.port);
    endpoints.leave();
    transport.connect();
    await eventually(() => expect(endpoints.current?.host).toBe("127.0.0.1"));
    expect(ready).toBe(1); // another one that takes connections is no news
  });

  it("and came up while a call failed for want of it, is news also when it is asked to come up", async () => {
    const nodes = await startNodes(2);
    for (const each of nodes) await each.stop();
    const { transport, endpoints, ask } = connect(addressesOf(nodes), { use: "background" });
    let ready = 0;
    transport.onReady(() => ready++);
    transport.connect();
    expect(await ask()).toBe("Unavailable");
    // Its caller may not have heard of the failure yet.
    await node("127.0.0.2", nodes[0]?.port);
    await eventually(() => expect(ready).toBe(1), 3_000);
    transport.connect();
    expect(ready).toBe(2);
    endpoints.leave(); // as a session does that has heard of it
    transport.connect();
    await eventually(() => expect(ready).toBe(3));
    expect(await ask()).toBe("127.0.0.2");
    transport.connect();
    expect(ready).toBe(3);
  });
});

describe("a name", () => {
  it("is as many endpoints as it has addresses, and those that it has by then", async () => {
    const nodes = await startNodes(3);
    let addresses = ["127.0.0.1", "127.0.0.2"];
    const lookup: Lookup = async () => addresses;
    const { ask } = connect([`http://pulse:${nodes[0]?.port}`], { lookup });
    expect(await ask()).toBe("127.0.0.1");
    await nodes[0]?.stop();
    await eventually(async () => expect(await ask()).toBe("127.0.0.2"), 2_000);
    addresses = ["127.0.0.3"];
    await nodes[1]?.stop();
    await eventually(async () => expect(await ask()).toBe("127.0.0.3"), 2_000);
  });

  it("with one address is connected to as an address is, and says so each time", async () => {
    const [first] = (await startNodes(1)) as [Node];
    const lookup: Lookup = async () => ["127.0.0.1"];
    const { transport } = connect([`http://pulse:${first.port}`], { use: "background", lookup });
    let ready = 0;
    transport.onReady(() => ready++);
    transport.connect();
    await eventually(() => expect(ready).toBe(1));
    await first.stop();
    await node("127.0.0.1", first.port);
    await eventually(() => {
      transport.connect();
      expect(ready).toBe(2);
    }, 3_000);
  });

  it("whose only address says nothing is looked up again after five seconds, as it may have moved", async () => {
    const stopped = await silent("127.0.0.1");
    const { port } = new URL(stopped.address);
    await node("127.0.0.2", Number(port));
    const clock = new ManualClock();
    let addresses = ["127.0.0.1"];
    const lookup: Lookup = async () => addresses;
    const { ask } = connect([`http://pulse:${port}`], { lookup, clock });
    const answer = ask(15_000);
    await eventually(() => expect(stopped.sockets.size).toBe(1));
    addresses = ["127.0.0.2"];
    await clock.advance(5_000);
    expect(await answer).toBe("Unavailable");
    expect(await ask()).toBe("127.0.0.2");
    await eventually(() => expect(stopped.sockets.size).toBe(0));
  });

  it("is what the server is asked for by, whichever address it has", async () => {
    const asked: string[] = [];
    const { port, stop } = await startBareServer({
      unary(call, callback) {
        asked.push(call.getHost());
        callback(null, serviceOf("x"));
      },
    });
    closers.push(stop);
    const lookup: Lookup = async () => ["127.0.0.1"];
    await connect([`http://pulse.lan:${port}`], { lookup }).ask();
    await connect([`http://127.0.0.1:${port}`, "http://127.0.0.2:1"]).ask();
    expect(asked).toEqual([`pulse.lan:${port}`, `127.0.0.1:${port}`]);
  });

  it("that cannot be looked up hides no other, and says why if there is none", async () => {
    const [only] = (await startNodes(1)) as [Node];
    const lookup: Lookup = async (host) => {
      if (host === "bad") throw new Error("getaddrinfo ENOTFOUND bad");
      return ["127.0.0.1"];
    };
    const good = `http://good:${only.port}`;
    expect(await connect(["http://bad:9696", good], { lookup }).ask()).toBe("127.0.0.1");
    const { getService } = connect(["http://bad:9696"], { lookup });
    await expect(getService({ id: "x" })).rejects.toThrow(
      "[unavailable] no connection: getaddrinfo ENOTFOUND bad",
    );
  });

  it("without an answer ends a call at its deadline, or when the connection is closed", async () => {
    const { ask, transport } = connect(["http://pulse:9696"], {
      lookup: () => new Promise(() => {}),
    });
    expect(await ask(200)).toBe("DeadlineExceeded");
    const waiting = ask(60_000);
    transport.close();
    expect(await waiting).toBe("Canceled");
  });
});
