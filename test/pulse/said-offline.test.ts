import { beforeEach, describe, expect, it } from "vitest";
import type { RegisterRequest } from "../../src/core/registration.js";
import { startForgetting } from "../../src/pulse/forgetting.js";
import { Fleet, RecordingStream } from "../support/fleet.js";
import { settle } from "../support/manual-clock.js";

// An instance that lives and says that it is OFFLINE: a Haul whose download client does
// not answer.

const REASON = "download client does not answer";

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

/** Registers instance `n`, has it say that it is OFFLINE, and returns its lease and stream. */
async function saysOffline(n = 1, change: Partial<RegisterRequest> = {}) {
  const { leaseId } = await fleet.register(n, change);
  const stream = new RecordingStream();
  fleet.heartbeat(leaseId, stream, "offline", REASON);
  await settle();
  expect(fleet.status(n)).toBe(`offline: ${REASON}`);
  return { leaseId, stream };
}

/** Heartbeats that say nothing of the status, for `ms`. */
async function beat(leaseId: string, stream: RecordingStream, ms: number) {
  for (let passed = 0; passed < ms; passed += 5_000) {
    expect(fleet.heartbeat(leaseId, stream).kind).toBe("renewed");
    await fleet.clock.advance(5_000);
  }
}

describe("an instance that says that it is OFFLINE", () => {
  it("keeps its lease and its reason for as long as it heartbeats, without a change", async () => {
    const { leaseId, stream } = await saysOffline();
    await beat(leaseId, stream, 120_000);
    expect(fleet.status(1)).toBe(`offline: ${REASON}`);
    expect(fleet.reasons()).toEqual(["registered", "status reported"]);
    expect(stream.lost).toEqual([]);
  });

  it("is back with a heartbeat that says so", async () => {
    const { leaseId, stream } = await saysOffline();
    await beat(leaseId, stream, 30_000);
    fleet.heartbeat(leaseId, stream, "online");
    await settle();
    expect(fleet.status(1)).toBe("online: recovered");
    fleet.heartbeat(leaseId, stream, "offline");
    await settle();
    expect(fleet.status(1)).toBe("offline: ");
    expect(fleet.reasons().slice(1)).toEqual(Array(3).fill("status reported"));
  });

  it("begins so, if its Register says it", async () => {
    const statusReason = REASON;
    const { leaseId } = await fleet.register(1, { status: "offline", statusReason });
    await beat(leaseId, new RecordingStream(), 30_000);
    await fleet.register(1, { status: "offline" });
    expect(fleet.status(1)).toBe(`offline: ${REASON}`);
    await fleet.register(1);
    expect(fleet.status(1)).toBe("online: re-registered");
  });

  it("is not changed by a stream that breaks, and goes on as it was on the next", async () => {
    const { leaseId, stream } = await saysOffline();
    fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(10_000);
    await beat(leaseId, new RecordingStream(), 30_000);
    expect(fleet.status(1)).toBe(`offline: ${REASON}`);
    expect(fleet.reasons()).toEqual(["registered", "status reported"]);
  });

  it.each(["a silent stream", "a broken one"])("is gone after its TTL with %s", async (how) => {
    const { leaseId, stream } = await saysOffline();
    if (how === "a broken one") fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(14_000);
    expect(fleet.status(1)).toBe(`offline: ${REASON}`);
    await fleet.clock.advance(1_500);
    expect(fleet.status(1)).toBe("offline: expired");
    expect(fleet.heartbeat(leaseId)).toEqual({ kind: "lost", reason: "expired" });
    await fleet.register(1, { status: "offline" });
    expect(fleet.status(1)).toBe("offline: re-registered"); // its own word, not that it expired
  });

  it("says goodbye like any other", async () => {
    const { leaseId } = await saysOffline();
    await fleet.leases.goodbye(leaseId);
    expect(fleet.status(1)).toBe("offline: goodbye");
    expect(fleet.heartbeat(leaseId)).toEqual({ kind: "lost", reason: "expired" });
  });

  it("and has been gone is back as what it says", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    fleet.leases.streamBroke(stream, [leaseId]);
    await fleet.clock.advance(4_000);
    expect(fleet.status(1)).toBe("offline: disconnected");
    const next = new RecordingStream();
    fleet.heartbeat(leaseId, next, "offline", REASON);
    await settle();
    expect(fleet.status(1)).toBe(`offline: ${REASON}`);
    await beat(leaseId, next, 30_000);
    expect(fleet.reasons()).toEqual(["registered", "disconnected", "returned"]);
  });

  it("in the words of Pulse is taken for alive all the same", async () => {
    const { leaseId, stream } = await saysOffline();
    fleet.heartbeat(leaseId, stream, "offline", "disconnected");
    await settle();
    await beat(leaseId, stream, 30_000);
    expect(fleet.status(1)).toBe("offline: disconnected");
    expect(fleet.reasons()).not.toContain("returned");
  });

  it("is not forgotten", async () => {
    const { registry, clock, log, registryNow } = fleet;
    startForgetting({ registry, clock, registryNow, forgetAfterMs: 60_000, log });
    const { leaseId, stream } = await saysOffline();
    await beat(leaseId, stream, 300_000);
    expect(fleet.reasons()).not.toContain("forgotten");
    await fleet.clock.advance(90_000);
    expect(fleet.reasons().slice(2)).toEqual(["expired", "forgotten"]);
  });
});

describe("a restart of Pulse", () => {
  it.each(["stop", "kill"] as const)(
    "(%s) takes neither the lease nor the word of one that says it is OFFLINE",
    async (how) => {
      const { leaseId, stream } = await saysOffline();
      await beat(leaseId, stream, 60_000);
      await fleet.restart(how, 600_000);
      await fleet.clock.advance(17_000); // its TTL, and a part of the grace
      await beat(leaseId, new RecordingStream(), 30_000);
      expect(fleet.status(1)).toBe(`offline: ${REASON}`);
      expect(fleet.reasons()).toEqual(["registered", "status reported"]);
    },
  );

  it("while its lapse is held gives it its time anew, as any other", async () => {
    const { leaseId } = await saysOffline(1);
    for (let n = 2; n <= 8; n++) await saysOffline(n);
    await fleet.clock.advance(22_000);
    expect(fleet.holds).toEqual([true]);
    await fleet.restart("kill", 1_000);
    expect(fleet.heartbeat(leaseId).kind).toBe("renewed");
    expect(fleet.status(1)).toBe(`offline: ${REASON}`);
  });

  it("again and again still ends the lease of a dead one, in bounded uptime", async () => {
    await saysOffline();
    let uptimeMs = 0;
    for (; fleet.status(1) !== "offline: expired" && uptimeMs < 120_000; uptimeMs += 7_000) {
      await fleet.restart("kill", 60_000);
      await fleet.clock.advance(7_000);
    }
    expect(uptimeMs).toBeLessThanOrEqual(35_000);
  });
});

describe("the guard against our own fault", () => {
  it("counts those that say they are OFFLINE among the living that fall silent", async () => {
    for (let n = 1; n <= 6; n++) await saysOffline(n);
    for (let n = 7; n <= 8; n++) await fleet.register(n);
    await fleet.clock.advance(16_000);
    expect(fleet.holds).toEqual([true]);
    expect(fleet.status(7)).toBe("online: registered");
    await fleet.clock.advance(16_000);
    expect(fleet.reasons().filter((reason) => reason === "expired")).toHaveLength(8);
  });

  it("knows that those may be about to fall silent who were heard last at another moment", async () => {
    for (let n = 1; n <= 8; n++) {
      await saysOffline(n);
      await fleet.clock.advance(600);
    }
    await fleet.clock.advance(12_000);
    expect(fleet.holds).toEqual([true]);
    expect(fleet.reasons()).not.toContain("expired");
  });

  it("does not take it for a lapse that many say they are OFFLINE, and one expires as usual", async () => {
    const fleetOf = await Promise.all([1, 2, 3, 4, 5, 6, 7].map((n) => saysOffline(n)));
    await fleet.register(8);
    for (let passed = 0; passed < 20_000; passed += 5_000) {
      for (const { leaseId, stream } of fleetOf) fleet.heartbeat(leaseId, stream);
      await fleet.clock.advance(5_000);
    }
    expect(fleet.holds).toEqual([]);
    expect(fleet.status(8)).toBe("offline: expired");
    expect(fleet.status(1)).toBe(`offline: ${REASON}`);
  });
});
