import { beforeEach, describe, expect, it } from "vitest";
import { deregister } from "../../src/core/registration.js";
import { Fleet, RecordingStream } from "../support/fleet.js";
import { settle } from "../support/manual-clock.js";

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

/** Keeps an instance alive on its stream for `ms`, a heartbeat every 5 s. */
async function beat(leaseId: string, stream: RecordingStream, ms: number) {
  for (let passed = 0; passed < ms; passed += 5_000) {
    fleet.heartbeat(leaseId, stream);
    await fleet.clock.advance(5_000);
  }
}

describe("a lease", () => {
  it("expires at its TTL if nothing is heard", async () => {
    const { leaseId } = await fleet.register(1);
    await fleet.clock.advance(14_900);
    expect(fleet.status(1)).toBe("online: registered");
    await fleet.clock.advance(600);
    expect(fleet.status(1)).toBe("offline: expired");
    expect(fleet.heartbeat(leaseId)).toEqual({ kind: "lost", reason: "expired" });
  });

  it("lives as long as heartbeats come, and these write no commit", async () => {
    const { leaseId } = await fleet.register(1);
    await beat(leaseId, new RecordingStream(), 120_000);
    expect(fleet.status(1)).toBe("online: registered");
    expect(fleet.reasons()).toEqual(["registered"]);
  });

  it("survives one missed heartbeat", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    await fleet.clock.advance(10_000);
    fleet.heartbeat(leaseId, stream);
    await fleet.clock.advance(10_000);
    expect(fleet.reasons()).toEqual(["registered"]);
  });

  it("is renewed by Register alone, without a stream", async () => {
    await fleet.register(1);
    for (let i = 0; i < 5; i++) {
      await fleet.clock.advance(10_000);
      await fleet.register(1);
    }
    expect(fleet.status(1)).toBe("online: registered");
    expect(fleet.reasons()).not.toContain("expired");
  });

  it("tells a silent stream that it expired", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    await fleet.clock.advance(16_000);
    expect(stream.lost).toEqual([[leaseId, "expired"]]);
  });

  it("of an older generation is superseded, and its stream told at once", async () => {
    const old = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(old.leaseId, stream);
    const next = await fleet.register(1);
    expect(stream.lost).toEqual([[old.leaseId, "superseded"]]);
    expect(fleet.heartbeat(old.leaseId)).toEqual({ kind: "lost", reason: "superseded" });
    expect(fleet.heartbeat(next.leaseId).kind).toBe("renewed");
  });

  it("is deregistered with its service, and a late heartbeat does not bring it back", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    await fleet.registry.run(deregister({ instanceId: "i1", secretHash: "h1", isAdmin: false }));
    expect(stream.lost).toEqual([[leaseId, "deregistered"]]);
    expect(fleet.heartbeat(leaseId)).toEqual({ kind: "lost", reason: "deregistered" });
    await settle();
    expect([...fleet.registry.catalog.services()]).toEqual([]);
  });
});

describe("goodbye", () => {
  it("is OFFLINE at once, ends the lease, and is told to nobody as a loss", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    expect((await fleet.leases.goodbye(leaseId)).kind).toBe("renewed");
    expect(fleet.status(1)).toBe("offline: goodbye");
    expect(stream.lost).toEqual([]);
    expect(fleet.heartbeat(leaseId)).toEqual({ kind: "lost", reason: "expired" });
  });
});

describe("a change of status", () => {
  it("writes the newest signs of life, not those of the registration", async () => {
    const { leaseId, lastSeenAt, leaseExpiresAt } = await fleet.register(1);
    const stream = new RecordingStream();
    await beat(leaseId, stream, 60_000);
    fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(4_000);
    expect(fleet.status(1)).toBe("offline: disconnected");
    const [service] = (await fleet.store.load()).services;
    expect(service?.lastSeenAt).toBe(lastSeenAt + 55_000);
    expect(service?.leaseExpiresAt).toBe(leaseExpiresAt + 55_000);
  });

  it("does not take the lease of an instance that is OFFLINE through a crash of Pulse", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    await beat(leaseId, stream, 60_000);
    fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(4_000);
    await fleet.restart("kill", 1_000);
    expect(fleet.heartbeat(leaseId).kind).toBe("renewed");
    await settle();
    expect(fleet.status(1)).toBe("online: returned");
  });
});

describe("a broken stream", () => {
  it("is OFFLINE after the reconnect grace, and ONLINE again with its next heartbeat", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(2_900);
    expect(fleet.status(1)).toBe("online: registered");
    await fleet.clock.advance(400);
    expect(fleet.status(1)).toBe("offline: disconnected");
    fleet.heartbeat(leaseId);
    await settle();
    expect(fleet.status(1)).toBe("online: returned");
    expect(fleet.reasons()).toEqual(["registered", "disconnected", "returned"]);
  });

  it("is nothing if the instance is back within the grace", async () => {
    const { leaseId } = await fleet.register(1);
    const [old, next] = [new RecordingStream(), new RecordingStream()];
    fleet.heartbeat(leaseId, old);
    fleet.leases.streamBroke(old, [leaseId]);
    await fleet.clock.advance(1_000);
    await beat(leaseId, next, 20_000);
    expect(fleet.reasons()).toEqual(["registered"]);
  });

  it("is nothing if a newer one carries the lease already", async () => {
    const { leaseId } = await fleet.register(1);
    const [old, next] = [new RecordingStream(), new RecordingStream()];
    fleet.heartbeat(leaseId, old);
    fleet.heartbeat(leaseId, next);
    fleet.leases.streamBroke(old, [leaseId]);
    await fleet.clock.advance(6_000);
    expect(fleet.reasons()).toEqual(["registered"]);
  });

  it("loses the lease too at its TTL, without another change", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(20_000);
    expect(fleet.reasons()).toEqual(["registered", "disconnected"]);
    expect(fleet.heartbeat(leaseId)).toEqual({ kind: "lost", reason: "expired" });
  });
});

describe("what an instance says of itself", () => {
  it("is recorded with its reason, once", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    for (let i = 0; i < 3; i++) {
      fleet.heartbeat(leaseId, stream, "degraded", "disk almost full");
      await settle();
    }
    expect(fleet.status(1)).toBe("degraded: disk almost full");
    fleet.heartbeat(leaseId, stream, "online");
    await settle();
    expect(fleet.status(1)).toBe("online: recovered");
    expect(fleet.reasons()).toEqual(["registered", "status reported", "status reported"]);
  });

  it("is not lost if it changes while the change before is being written", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream, "degraded", "one");
    fleet.heartbeat(leaseId, stream, "degraded", "two");
    await settle();
    expect(fleet.status(1)).toBe("degraded: two");
  });
});

describe("a stall of the process", () => {
  it("expires nobody, however long", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    fleet.clock.stall(600_000);
    await fleet.clock.advance(1_000);
    expect(fleet.heartbeat(leaseId, stream).kind).toBe("renewed");
    expect(fleet.reasons()).toEqual(["registered"]);
  });
});

describe("a restart of Pulse", () => {
  it("expires nobody, however long Pulse was away", async () => {
    const { leaseId } = await fleet.register(1);
    fleet.heartbeat(leaseId);
    await fleet.clock.advance(6_000);
    await fleet.restart("kill", 8 * 3_600_000);
    await fleet.clock.advance(17_000);
    expect(fleet.status(1)).toBe("online: registered");
    expect(fleet.heartbeat(leaseId).kind).toBe("renewed");
  });

  it("expires the dead after a TTL and the grace", async () => {
    await fleet.register(1);
    await fleet.restart("stop", 1_000);
    await fleet.clock.advance(18_500);
    expect(fleet.status(1)).toBe("offline: expired");
  });

  it.each(["stop", "kill"] as const)(
    "again and again (%s every 7 s) still expires the dead, in bounded uptime",
    async (how) => {
      await fleet.register(1);
      let uptimeMs = 0;
      while (fleet.status(1).startsWith("online") && uptimeMs < 120_000) {
        await fleet.restart(how, 60_000);
        await fleet.clock.advance(7_000);
        uptimeMs += 7_000;
      }
      expect(fleet.status(1)).toBe("offline: expired");
      expect(uptimeMs).toBeLessThanOrEqual(35_000);
    },
  );

  it.each([300, 600, 2_000, 4_000])(
    "by SIGKILL after every %i ms expires the dead all the same",
    async (runMs) => {
      await fleet.register(1);
      let uptimeMs = 0;
      while (fleet.status(1).startsWith("online") && uptimeMs < 120_000) {
        await fleet.restart("kill", 1_000);
        await fleet.clock.advance(runMs);
        uptimeMs += runMs;
      }
      expect(fleet.status(1)).toBe("offline: expired");
      expect(uptimeMs).toBeLessThanOrEqual(3 * 18_000 + 2_000);
    },
  );

  it("again and again keeps alive whoever heartbeats in each run", async () => {
    const { leaseId } = await fleet.register(1);
    for (let i = 0; i < 10; i++) {
      await fleet.restart("kill", 60_000);
      await fleet.clock.advance(3_000);
      expect(fleet.heartbeat(leaseId).kind).toBe("renewed");
      await fleet.clock.advance(4_000);
    }
    expect(fleet.reasons()).toEqual(["registered"]);
  });

  it("knows a superseded lease from an expired one", async () => {
    const old = await fleet.register(1);
    await fleet.register(1);
    await fleet.restart("kill", 1_000);
    expect(fleet.heartbeat(old.leaseId)).toEqual({ kind: "lost", reason: "superseded" });
  });

  it("leaves the OFFLINE offline, and lets a lease that still runs return", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(4_000);
    await fleet.restart("stop", 1_000);
    expect(fleet.status(1)).toBe("offline: disconnected");
    fleet.heartbeat(leaseId);
    await settle();
    expect(fleet.status(1)).toBe("online: returned");
  });
});

describe("many that lapse at once", () => {
  async function fleetOf(size: number): Promise<RecordingStream[]> {
    const streams: RecordingStream[] = [];
    for (let n = 1; n <= size; n++) {
      const { leaseId } = await fleet.register(n);
      const stream = new RecordingStream();
      fleet.heartbeat(leaseId, stream);
      streams.push(stream);
    }
    return streams;
  }
  const leaseOf = (n: number) => fleet.registry.catalog.serviceByInstance(`i${n}`)?.leaseId ?? "";

  it("are held for one TTL, said in health, and then expire", async () => {
    const streams = await fleetOf(10);
    for (let second = 0; second < 45; second += 5) {
      for (const n of [9, 10]) fleet.heartbeat(leaseOf(n), streams[n - 1]);
      await fleet.clock.advance(5_000);
      if (second === 20) {
        expect(fleet.holds).toEqual([true]);
        expect(fleet.status(1)).toBe("online: registered");
      }
    }
    expect(fleet.holds).toEqual([true, false]);
    expect([1, 8, 9].map((n) => fleet.status(n))).toEqual([
      "offline: expired",
      "offline: expired",
      "online: registered",
    ]);
  });

  it("are held all of them, though they were heard last at different moments", async () => {
    const streams = await fleetOf(10);
    for (let n = 1; n <= 10; n++) {
      await fleet.clock.advance(490); // over one interval
      fleet.heartbeat(leaseOf(n), streams[n - 1]);
    }
    for (let second = 0; second < 30; second += 5) {
      for (const n of [9, 10]) fleet.heartbeat(leaseOf(n), streams[n - 1]);
      await fleet.clock.advance(5_000);
      if (second === 15) expect(fleet.reasons()).toEqual(Array(10).fill("registered"));
    }
    expect(fleet.holds).toEqual([true, false]);
    expect(fleet.reasons().filter((reason) => reason === "expired")).toHaveLength(8);
  });

  it("are held if their streams break one after the other", async () => {
    const streams = await fleetOf(10);
    for (let n = 1; n <= 8; n++) {
      await fleet.clock.advance(300);
      fleet.leases.streamBroke(streams[n - 1] as RecordingStream, [leaseOf(n)]);
    }
    await fleet.clock.advance(4_000);
    expect(fleet.holds).toEqual([true]);
    expect(fleet.reasons()).toEqual(Array(10).fill("registered"));
  });

  it("expire as usual when it is one of three", async () => {
    const streams = await fleetOf(3);
    for (let i = 0; i < 4; i++) {
      for (const n of [2, 3]) fleet.heartbeat(leaseOf(n), streams[n - 1]);
      await fleet.clock.advance(5_000);
    }
    expect(fleet.status(1)).toBe("offline: expired");
    expect(fleet.holds).toEqual([]);
  });
});
