import { beforeEach, describe, expect, it } from "vitest";
import { eventually } from "./eventually.js";
import type { FaultProxy } from "./fault-proxy.js";
import { ProxiedService } from "./proxied-service.js";

/** Long enough for what is not stopped to arrive on loopback. */
const SILENCE_MS = 100;
/** More than the kernel and the proxy keep of a connection. */
const MUCH = "x".repeat(30_000_000);

let service: ProxiedService;
let proxy: FaultProxy;

beforeEach(async () => {
  service = await ProxiedService.start();
  proxy = service.proxy;
  return () => service.close();
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const timers = () => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;

describe("a fault proxy that delays", () => {
  it.each(["here", "there"] as const)(
    "passes what %s says that much later, in order, and its end",
    async (side) => {
      const { here, there } = await service.pair(true);
      const [from, to] = side === "here" ? [here, there] : [there, here];
      to.heard = "";
      proxy.delay(150);
      const startedAt = performance.now();
      const arrivedAt: number[] = [];
      to.socket.on("data", () => arrivedAt.push(performance.now() - startedAt));
      to.socket.on("end", () => arrivedAt.push(performance.now() - startedAt));
      from.socket.write("one ");
      await sleep(70);
      const saidAt = performance.now() - startedAt;
      from.socket.end("two");
      await eventually(() => expect(to).toMatchObject({ heard: "one two", ended: "FIN" }));
      const [first = 0, second = 0, end = 0] = arrivedAt;
      expect(first).toBeGreaterThanOrEqual(150);
      expect(first).toBeLessThan(saidAt + 150); // not as late as the second one
      expect(second).toBeGreaterThanOrEqual(saidAt + 150);
      expect(end).toBeGreaterThanOrEqual(second);
    },
  );

  it("passes a reset that much later", async () => {
    const { here, there } = await service.pair();
    proxy.delay(SILENCE_MS + 50);
    there.socket.resetAndDestroy();
    await sleep(SILENCE_MS);
    expect([here.heard, here.ended]).toEqual(["", ""]);
    await eventually(() => expect(here.ended).toBe("RST"));
  });

  it("passes all that is on its way at once when it ends", async () => {
    const { here, there } = await service.pair();
    proxy.delay(60_000);
    here.socket.write("at last");
    await sleep(20);
    proxy.delay(0);
    await eventually(() => expect(there.heard).toBe("hello at last"));
  });

  it("makes a sender wait for whom there is no room on the way", async () => {
    const { here, there } = await service.pair();
    proxy.delay(60_000);
    here.socket.write(MUCH);
    await sleep(SILENCE_MS);
    expect(here.socket.writableLength).toBeGreaterThan(0);
    expect(there.heard).toBe("hello ");
    await proxy.restore();
    await eventually(() => expect(there.heard).toHaveLength("hello ".length + MUCH.length));
  });

  it("has no timer left when it is closed", async () => {
    const { here, there } = await service.pair();
    await sleep(2 * SILENCE_MS); // the test runner has some that end by themselves
    const before = timers();
    proxy.delay(60_000);
    here.socket.write("never");
    there.socket.write("never");
    await eventually(() => expect(timers()).toBe(before + 2));
    await proxy.close();
    expect(timers()).toBe(before);
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
  });
});

describe("a fault proxy that throttles", () => {
  it("passes never more than the rate allows, both ways, and as much", async () => {
    const { here, there } = await service.pair();
    proxy.throttle(100_000);
    const startedAt = performance.now();
    const excess: number[] = [];
    for (const { socket } of [here, there]) {
      let bytes = 0;
      socket.on("data", (text: string) => {
        bytes += text.length;
        const allowed = (performance.now() - startedAt) * 100;
        if (bytes > allowed) excess.push(bytes - allowed);
      });
      socket.write("x".repeat(20_000));
    }
    await eventually(() => expect(here.heard).toHaveLength(20_000));
    await eventually(() => expect(there.heard).toHaveLength("hello ".length + 20_000));
    expect(excess).toEqual([]);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  it("passes the rest at once when it ends", async () => {
    const { here, there } = await service.pair();
    proxy.throttle(10);
    here.socket.end(MUCH);
    await sleep(20);
    proxy.throttle(Number.POSITIVE_INFINITY);
    await eventually(() => expect(there.ended).toBe("FIN"));
    expect(there.heard).toHaveLength("hello ".length + MUCH.length);
  });
});

describe("a fault proxy that pauses", () => {
  it("makes a sender wait in one direction, while the other one goes on", async () => {
    const { here, there } = await service.pair();
    proxy.pause("to-client");
    there.socket.end(MUCH);
    here.socket.write("go on");
    await eventually(() => expect(there.heard).toBe("hello go on"));
    await sleep(SILENCE_MS);
    expect(there.socket.writableLength).toBeGreaterThan(0);
    expect(here.heard).toBe("");

    await proxy.restore();
    await eventually(() => expect(here.ended).toBe("FIN"));
    expect(here.heard).toHaveLength(MUCH.length);
  });

  it("does so in both if none is named, also for those who come", async () => {
    const { here, there } = await service.pair();
    proxy.pause();
    here.socket.write("?");
    there.socket.write("!");
    const newcomer = service.client();
    newcomer.socket.write("hello");
    await eventually(() => expect(service.served).toHaveLength(2));
    await sleep(SILENCE_MS);
    expect([here.heard, there.heard, service.served[1]?.heard]).toEqual(["", "hello ", ""]);

    await proxy.restore();
    await eventually(() =>
      expect([here.heard, there.heard, service.served[1]?.heard]).toEqual([
        "!",
        "hello ?",
        "hello",
      ]),
    );
  });

  it("passes on that who hears nothing was reset, and keeps that who speaks was", async () => {
    const [one, two] = [await service.pair(), await service.pair()];
    proxy.pause("to-client");
    one.here.socket.resetAndDestroy();
    two.there.socket.resetAndDestroy();
    await eventually(() => expect(one.there.ended).toBe("RST"));
    await sleep(SILENCE_MS);
    expect(two.here.ended).toBe("");
    await proxy.restore();
    await eventually(() => expect(two.here.ended).toBe("RST"));
  });
});

describe("a fault proxy that drops", () => {
  it("takes what comes and passes nothing of it, while the other direction goes on", async () => {
    const { here, there } = await service.pair();
    proxy.drop("to-client");
    there.socket.write(MUCH);
    here.socket.write("go on");
    await eventually(() => expect(there.heard).toBe("hello go on"));
    await eventually(() => expect(there.socket.writableLength).toBe(0));
    await sleep(SILENCE_MS);
    expect(here.heard).toBe("");

    await proxy.restore();
    there.socket.write("after the tear");
    await eventually(() => expect(here.heard).toBe("after the tear"));
  });

  it("keeps an end until it is restored, in both directions if none is named", async () => {
    const { here, there } = await service.pair(true);
    proxy.drop();
    here.socket.end("lost");
    there.socket.end("lost");
    await sleep(SILENCE_MS);
    expect([here.ended, there.ended]).toEqual(["", ""]);
    await proxy.restore();
    await eventually(() => expect([here.ended, there.ended]).toEqual(["FIN", "FIN"]));
    expect([here.heard, there.heard]).toEqual(["", "hello "]);
  });
});

describe("a fault proxy that cuts after some bytes", () => {
  it.each([1, 1_234, 1_000_000])("resets after exactly %i", async (bytes) => {
    const { here, there } = await service.pair();
    there.socket.write("before");
    await eventually(() => expect(here.heard).toBe("before"));
    proxy.cutAfter(bytes);
    there.socket.write("x".repeat(bytes - 1));
    here.socket.write("not counted");
    await eventually(() => expect(here.heard).toHaveLength("before".length + bytes - 1));
    await eventually(() => expect(there.heard).toBe("hello not counted"));
    expect([here.ended, there.ended]).toEqual(["", ""]);

    there.socket.write("yz");
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
    expect(here.heard).toBe(`before${"x".repeat(bytes - 1)}y`);
    expect(proxy.connections).toBe(0);
  });

  it("counts for each connection, also for each new one, in the direction that is named", async () => {
    const { there } = await service.pair();
    proxy.cutAfter(3, "to-target");
    service.client().socket.write("newcomer");
    await eventually(() => expect(service.served[1]).toMatchObject({ heard: "new", ended: "RST" }));
    there.socket.write("not counted");
    await sleep(SILENCE_MS);
    expect(there.ended).toBe("");
  });

  it("resets at once after none", async () => {
    const { here, there } = await service.pair();
    proxy.cutAfter(0);
    await eventually(() => expect([here.ended, there.ended]).toEqual(["RST", "RST"]));
  });

  it("lets those that still live go on when it is restored", async () => {
    const { here, there } = await service.pair();
    proxy.cutAfter(5);
    there.socket.write("four");
    await eventually(() => expect(here.heard).toBe("four"));
    await proxy.restore();
    there.socket.write(" and many more");
    await eventually(() => expect(here.heard).toBe("four and many more"));
    await sleep(SILENCE_MS);
    expect(here.ended).toBe("");
  });
});

it("a fault proxy that is restored has no fault left, for those there are and those who come", async () => {
  const { here, there } = await service.pair();
  proxy.delay(60_000);
  proxy.throttle(1);
  proxy.cutAfter(2, "to-target");
  proxy.pause("to-client");
  here.socket.write("all");
  there.socket.write("all");
  await sleep(20);
  await proxy.restore();
  await eventually(() => expect([there.heard, here.heard]).toEqual(["hello all", "all"]));
  const other = await service.pair();
  other.there.socket.write("of it");
  await eventually(() => expect(other.here.heard).toBe("of it"));
});

it("a fault proxy says which figure it cannot use", () => {
  expect(() => proxy.delay(-1)).toThrow("ms must be at least 0, not -1");
  expect(() => proxy.throttle(0)).toThrow("bytesPerSecond must be at least 1, not 0");
  expect(() => proxy.cutAfter(Number.NaN)).toThrow("bytes must be at least 0, not NaN");
});
