import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createHostNetwork, type HostNetwork } from "../../src/haul/host-network.js";
import { ManualClock } from "../support/manual-clock.js";

let clock: ManualClock;
let network: HostNetwork;
let server: Server | undefined;

beforeEach(() => {
  clock = new ManualClock();
  network = createHostNetwork(clock);
});
afterEach(() => {
  server?.close();
  server = undefined;
});

async function listen(): Promise<number> {
  const started = createServer((socket) => socket.on("error", () => {}));
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  const address = started.address();
  return typeof address === "object" && address ? address.port : 0;
}

describe("the network of this host", () => {
  it("leads to loopback by loopback", async () => {
    expect(await network.routeTo({ address: "127.0.0.1", family: 4 }, 9696)).toEqual({
      address: "127.0.0.1",
      family: 4,
      interfaceName: "lo",
    });
  });

  it("leads nowhere where the kernel knows no way, or by what is no address, without a rejection", async () => {
    // TCP and UDP have no way to a broadcast address that is not asked for.
    expect(await network.routeTo({ address: "255.255.255.255", family: 4 }, 9)).toBeUndefined();
    expect(await network.routeTo({ address: "fe80::1%none", family: 6 }, 9)).toBeUndefined();
  });

  it("looks names up as its programs do", async () => {
    expect(await network.lookUp("localhost")).toContainEqual({ address: "127.0.0.1", family: 4 });
    expect(await network.lookUp("127.0.0.1")).toEqual([{ address: "127.0.0.1", family: 4 }]);
    expect(await network.lookUp("no such name")).toEqual([]);
  });

  it("waits 6 s for a name, no longer", async () => {
    const lookingUp = createHostNetwork(clock, () => new Promise(() => {})).lookUp("nas");
    await clock.advance(6_000);
    expect([await lookingUp, clock.pending]).toEqual([[], 0]);
  });

  it("knows by DNS no name that is none", async () => {
    expect(await network.askDns("", 4)).toEqual([]);
  });

  it("connects where somebody listens, and is refused where nobody does", async () => {
    const port = await listen();
    expect(await network.connect("127.0.0.1", port)).toBe("connected");
    server?.close();
    expect(await network.connect("127.0.0.1", port)).toBe("refused");
    expect(clock.pending).toBe(0);
  });

  it("waits 3 s for a connection, no longer", async () => {
    const connection = network.connect("127.0.0.1", await listen());
    clock.advanceSync(3_000);
    expect(await connection).toBe("silent");
  });
});
