import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { Duplex } from "node:stream";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { eventually } from "./eventually.js";
import { FaultProxy } from "./fault-proxy.js";
import { ProxiedService } from "./proxied-service.js";

/** Long enough for what is not stopped to arrive on loopback. */
const SILENCE_MS = 150;

let service: ProxiedService;
let proxy: FaultProxy;

beforeEach(async () => {
  service = await ProxiedService.start();
  proxy = service.proxy;
  return () => service.close();
});

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
    const { here, there } = await service.pair();
    there.socket.write("welcome");
    await eventually(() => expect(here.heard).toBe("welcome"));
    await service.pair();
    expect(shown()).toMatchObject({ mode: "open", connections: 2, accepted: 2 });
  });

  it("can be closed while an end passes", async () => {
    const { here, there } = await service.pair(true);
    proxy.delay(60_000);
    there.socket.end();
    await silence();
    proxy.delay(0); // the end passes at once
    await proxy.close();
    await eventually(() => expect(here.ended).toBe("FIN"));
  });

  it("passes an end as an end, after all that was said before it", async () => {
    const { here, there } = await service.pair();
    here.socket.end("x".repeat(1_000_000));
    await eventually(() => expect(there.ended).toBe("FIN"));
    expect(there.heard).toHaveLength("hello ".length + 1_000_000);
    await eventually(() => expect(here.ended).toBe("FIN"));
    await eventually(() => expect(shown()).toMatchObject({ connections: 0, accepted: 1 }));
  });

  it("passes what one side says after the other has ended", async () => {
    const { here, there } = await service.pair(true);
    there.socket.end();
    await eventually(() => expect(here.ended).toBe("FIN"));
    here.socket.end("goodbye");
    await eventually(() => expect(there).toMatchObject({ heard: "hello goodbye", ended: "FIN" }));
  });

  it.each(["here", "there"] as const)("passes a reset from %s as a reset", async (side) => {
    const both = await service.pair();
    both[side].socket.resetAndDestroy();
    const other = side === "here" ? both.there : both.here;
    await eventually(() => expect(other.ended).toBe("RST"));
    expect(proxy.connections).toBe(0);
  });

  it.each(["here", "there"] as const)(
    "passes a reset from %s as a reset right after what was said before it",
    async (side) => {
      const both = await service.pair();
      const other = side === "here" ? both.there : both.here;
      other.heard = "";
      both[side].socket.write("last words");
      both[side].socket.resetAndDestroy();
      await eventually(() => expect(other).toMatchObject({ heard: "last words", ended: "RST" }));
    },
  );

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
    const { here, there } = await service.pair();
    proxy.reset();
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
    await service.pair();
    expect(shown()).toMatchObject({ connections: 1, accepted: 2 });
  });

  it.each(["here", "there"] as const)("resets %s at once after bytes have passed", async (side) => {
    const both = await service.pair();
    const { socket } = both[side === "here" ? "there" : "here"];
    both[side].heard = "";
    socket.write("last words");
    const passing = vi.spyOn(Socket.prototype, "write");
    onTestFinished(() => passing.mockRestore());
    passing.mockImplementation(function (this: Socket, ...part: unknown[]) {
      const hasRoom = Reflect.apply(Duplex.prototype.write, this, part);
      proxy.reset(); // before it can be read
      return hasRoom;
    });
    await eventually(() => expect(both[side]).toMatchObject({ heard: "last words", ended: "RST" }));
    await eventually(() => expect([both.here.ended, both.there.ended]).toEqual(["RST", "RST"]));
  });
});

describe("a fault proxy that is cut", () => {
  it("resets both sides of every connection, and refuses new ones", async () => {
    const { here, there } = await service.pair();
    await proxy.cut();
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
    expect(await refusal()).toBe("ECONNREFUSED");
    expect(shown()).toMatchObject({ mode: "cut", connections: 0, accepted: 1 });
  });

  it("serves on the same port when it is restored", async () => {
    const { port } = proxy;
    await proxy.cut();
    await proxy.restore();
    await service.pair();
    expect(shown()).toMatchObject({ mode: "open", connections: 1 });
    expect(proxy.port).toBe(port);
  });
});

describe("a fault proxy that refuses", () => {
  it("lets nobody new in, and those there are go on", async () => {
    const { here, there } = await service.pair();
    proxy.refuse();
    expect(await refusal()).toBe("ECONNREFUSED");
    here.socket.write("still here");
    there.socket.write("so am I");
    await eventually(() =>
      expect([there.heard, here.heard]).toEqual(["hello still here", "so am I"]),
    );
    expect(shown()).toEqual({ mode: "refuse", connections: 1, accepted: 1 });
  });

  it("lets them in on the same port when it is restored, and again", async () => {
    const { here, there } = await service.pair();
    proxy.refuse();
    await proxy.restore();
    await service.pair();
    proxy.refuse();
    expect(await refusal()).toBe("ECONNREFUSED");
    await proxy.cut();
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
    expect(shown()).toEqual({ mode: "cut", connections: 0, accepted: 2 });
  });
});

describe("a fault proxy that is a blackhole", () => {
  it("passes nothing in either direction, and delivers it late when it is restored", async () => {
    const { here, there } = await service.pair();
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
    const both = await service.pair();
    const other = side === "here" ? both.there : both.here;
    await proxy.blackhole();
    both[side].socket.destroy();
    await silence();
    expect(other.ended).toBe("");

    await proxy.restore();
    await eventually(() => expect(other.ended).not.toBe(""));
  });

  it.each(["here", "there"] as const)("tells nobody that %s was reset", async (side) => {
    const both = await service.pair();
    const other = side === "here" ? both.there : both.here;
    await proxy.blackhole();
    both[side].socket.resetAndDestroy();
    await silence();
    expect([other.ended, proxy.connections]).toEqual(["", 1]);

    await proxy.restore();
    await eventually(() => expect(other.ended).toBe("RST"));
    expect(proxy.connections).toBe(0);
  });

  it("keeps what was delayed when it came", async () => {
    const { here, there } = await service.pair();
    proxy.delay(50);
    const read = there.socket.bytesRead;
    here.socket.write("late");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await proxy.blackhole();
    await silence();
    expect(there.socket.bytesRead).toBe(read);

    await proxy.restore();
    await eventually(() => expect(there.heard).toBe("hello late"));
  });

  it("accepts newcomers, who hear nothing and reach nobody until it is restored", async () => {
    await proxy.blackhole();
    const newcomer = service.client();
    newcomer.socket.write("hello?");
    await once(newcomer.socket, "connect");
    await silence();
    expect(service.served).toEqual([]);
    expect([newcomer.ended, proxy.connections]).toEqual(["", 1]);

    await proxy.restore();
    await eventually(() => expect(service.served[0]?.heard).toBe("hello?"));
  });

  it("can come after a cut, and a cut after it", async () => {
    await proxy.cut();
    await proxy.blackhole();
    const newcomer = service.client();
    await once(newcomer.socket, "connect");
    await eventually(() => expect(proxy.connections).toBe(1));
    await proxy.cut();
    await eventually(() => expect(newcomer.ended).toBe("RST"));
    expect(await refusal()).toBe("ECONNREFUSED");
  });
});

it("a fault proxy that forgets its connections leaves both sides waiting, and serves new ones", async () => {
  const { here, there } = await service.pair();
  proxy.forget();
  await proxy.restore();
  here.socket.write("anybody?");
  there.socket.write("anybody?");
  const other = await service.pair();
  await silence();
  expect([here.heard, here.ended, there.heard, there.ended]).toEqual(["", "", "hello ", ""]);
  expect(proxy.connections).toBe(1);

  await proxy.close();
  await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
  await eventually(() => expect(other.here.ended).toBe("RST"));
});

it("a fault proxy can reset the connections that it has forgotten, and no others", async () => {
  const { here, there } = await service.pair();
  proxy.forget();
  const other = await service.pair();
  proxy.resetForgotten();
  await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
  other.here.socket.write("still here");
  await eventually(() => expect(other.there.heard).toBe("hello still here"));
  expect(other.here.ended).toBe("");
});

it("a fault proxy can be cut while it has connections that it has forgotten", async () => {
  const { here, there } = await service.pair();
  proxy.forget();
  const other = await service.pair();
  await proxy.cut();
  await eventually(() => expect([other.here.ended, other.there.ended]).toEqual(["RST", "RST"]));
  expect([here.ended, there.ended]).toEqual(["", ""]);
});

it("a fault proxy sends new connections to where its target has moved", async () => {
  const old = await service.pair();
  const moved = await ProxiedService.start();
  onTestFinished(() => moved.close());
  proxy.target(moved.port);
  service.client().socket.write("is it you?");
  await eventually(() => expect(moved.served[0]?.heard).toBe("is it you?"));
  old.here.socket.write("and you");
  await eventually(() => expect(old.there.heard).toBe("hello and you"));
  expect(service.served).toHaveLength(1);
});

it("a fault proxy notes when each connection was accepted", async () => {
  const startedAt = performance.now();
  await service.pair();
  const betweenAt = performance.now();
  await service.pair();
  const [first = 0, second = 0, ...others] = proxy.acceptedAt;
  const instants = [startedAt, first, betweenAt, second, performance.now()];
  expect(instants).toEqual([...instants].sort((a, b) => a - b));
  expect(others).toEqual([]);
});

it("a fault proxy that is closed does nothing more", async () => {
  await proxy.close();
  expect(await refusal()).toBe("ECONNREFUSED");
  await expect(proxy.restore()).rejects.toThrow("the proxy is closed");
  expect(() => proxy.refuse()).toThrow("the proxy is closed");
  expect(() => proxy.delay(1)).toThrow("the proxy is closed");
});
