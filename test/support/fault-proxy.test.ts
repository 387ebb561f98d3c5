import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "./eventually.js";
import { FaultProxy } from "./fault-proxy.js";

/** Long enough for what is not stopped to arrive on loopback. */
const SILENCE_MS = 150;

let proxy: FaultProxy;
/** What the service has of each connection, in their order. */
let served: { readonly socket: Socket; heard: string; ended: "" | "FIN" | "RST" }[];

beforeEach(async () => {
  served = [];
  const service = createServer((socket) => served.push(record(socket)));
  service.listen(0, "127.0.0.1");
  await once(service, "listening");
  proxy = await FaultProxy.open((service.address() as AddressInfo).port);
  return async () => {
    if (proxy.mode !== "closed") await proxy.close();
    service.close();
  };
});

function record(socket: Socket) {
  const side = { socket, heard: "", ended: "" as "" | "FIN" | "RST" };
  socket.setEncoding("utf8").on("data", (text: string) => {
    side.heard += text;
  });
  socket.on("end", () => {
    side.ended = "FIN";
  });
  socket.on("error", () => {
    side.ended = "RST";
  });
  return side;
}

function client(allowHalfOpen = false) {
  const side = record(connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen }));
  onTestFinished(() => void side.socket.destroy());
  return side;
}

/** A client that has spoken to the service once, and the service's side of it. */
async function pair(allowHalfOpen = false) {
  const before = served.length;
  const here = client(allowHalfOpen);
  here.socket.write("hello ");
  const there = await eventually(() => {
    const side = served[before];
    if (side?.heard !== "hello ") throw new Error("the service has not heard of it");
    return side;
  });
  return { here, there };
}

const shown = () => ({
  mode: proxy.mode,
  connections: proxy.connections,
  accepted: proxy.accepted,
});

const silence = () => new Promise((resolve) => setTimeout(resolve, SILENCE_MS));

async function refusal(): Promise<unknown> {
  const [error] = await once(connect(proxy.port, "127.0.0.1"), "error");
  return (error as NodeJS.ErrnoException).code;
}

describe("a fault proxy that is open", () => {
  it("passes bytes both ways, and counts connections", async () => {
    const { here, there } = await pair();
    there.socket.write("welcome");
    await eventually(() => expect(here.heard).toBe("welcome"));
    await pair();
    expect(shown()).toMatchObject({ mode: "open", connections: 2, accepted: 2 });
  });

  it("passes an end as an end, after all that was said before it", async () => {
    const { here, there } = await pair();
    here.socket.end("x".repeat(1_000_000));
    await eventually(() => expect(there.ended).toBe("FIN"));
    expect(there.heard).toHaveLength("hello ".length + 1_000_000);
    await eventually(() => expect(here.ended).toBe("FIN"));
    await eventually(() => expect(shown()).toMatchObject({ connections: 0, accepted: 1 }));
  });

  it("passes what one side says after the other has ended", async () => {
    const { here, there } = await pair(true);
    there.socket.end();
    await eventually(() => expect(here.ended).toBe("FIN"));
    here.socket.end("goodbye");
    await eventually(() => expect(there).toMatchObject({ heard: "hello goodbye", ended: "FIN" }));
  });

  it.each(["here", "there"] as const)("passes a reset from %s as a reset", async (side) => {
    const both = await pair();
    both[side].socket.resetAndDestroy();
    const other = side === "here" ? both.there : both.here;
    await eventually(() => expect(other.ended).toBe("RST"));
    expect(proxy.connections).toBe(0);
  });

  it("resets who comes while the service is gone", async () => {
    const nobody = createServer().listen(0, "127.0.0.1");
    await once(nobody, "listening");
    const { port } = nobody.address() as AddressInfo;
    await new Promise((resolve) => nobody.close(resolve));
    const lonely = await FaultProxy.open(port);
    onTestFinished(() => lonely.close());
    const [error] = await once(connect(lonely.port, "127.0.0.1"), "error");
    expect(error).toMatchObject({ code: "ECONNRESET" });
  });

  it("can reset what is connected without refusing what comes", async () => {
    const { here, there } = await pair();
    proxy.reset();
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
    await pair();
    expect(shown()).toMatchObject({ connections: 1, accepted: 2 });
  });
});

describe("a fault proxy that is cut", () => {
  it("resets both sides of every connection, and refuses new ones", async () => {
    const { here, there } = await pair();
    await proxy.cut();
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
    expect(await refusal()).toBe("ECONNREFUSED");
    expect(shown()).toMatchObject({ mode: "cut", connections: 0, accepted: 1 });
  });

  it("serves on the same port when it is restored", async () => {
    const { port } = proxy;
    await proxy.cut();
    await proxy.restore();
    await pair();
    expect(shown()).toMatchObject({ mode: "open", connections: 1 });
    expect(proxy.port).toBe(port);
  });
});

describe("a fault proxy that is a blackhole", () => {
  it("passes nothing in either direction, and delivers it late when it is restored", async () => {
    const { here, there } = await pair();
    await proxy.blackhole();
    here.socket.write("late");
    there.socket.write("late too");
    await silence();
    expect([there.heard, here.heard]).toEqual(["hello ", ""]);

    await proxy.restore();
    await proxy.restore(); // changes nothing: each byte passes once
    await eventually(() => expect([there.heard, here.heard]).toEqual(["hello late", "late too"]));
  });

  it.each(["here", "there"] as const)("tells nobody that %s has ended", async (side) => {
    const both = await pair();
    const other = side === "here" ? both.there : both.here;
    await proxy.blackhole();
    both[side].socket.destroy();
    await silence();
    expect(other.ended).toBe("");

    await proxy.restore();
    await eventually(() => expect(other.ended).not.toBe(""));
  });

  it("accepts newcomers, who hear nothing and reach nobody until it is restored", async () => {
    await proxy.blackhole();
    const newcomer = client();
    newcomer.socket.write("hello?");
    await once(newcomer.socket, "connect");
    await silence();
    expect(served).toEqual([]);
    expect([newcomer.ended, proxy.connections]).toEqual(["", 1]);

    await proxy.restore();
    await eventually(() => expect(served[0]?.heard).toBe("hello?"));
  });

  it("can come after a cut, and a cut after it", async () => {
    await proxy.cut();
    await proxy.blackhole();
    const newcomer = client();
    await once(newcomer.socket, "connect");
    await eventually(() => expect(proxy.connections).toBe(1));
    await proxy.cut();
    await eventually(() => expect(newcomer.ended).toBe("RST"));
    expect(await refusal()).toBe("ECONNREFUSED");
  });
});

it("a fault proxy that forgets its connections leaves both sides waiting, and serves new ones", async () => {
  const { here, there } = await pair();
  proxy.forget();
  await proxy.restore();
  here.socket.write("anybody?");
  there.socket.write("anybody?");
  const other = await pair();
  await silence();
  expect([here.heard, here.ended, there.heard, there.ended]).toEqual(["", "", "hello ", ""]);
  expect(proxy.connections).toBe(1);

  await proxy.close();
  await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
  await eventually(() => expect(other.here.ended).toBe("RST"));
});

it("a fault proxy that is closed does nothing more", async () => {
  await proxy.close();
  expect(await refusal()).toBe("ECONNREFUSED");
  await expect(proxy.restore()).rejects.toThrow("the proxy is closed");
});
