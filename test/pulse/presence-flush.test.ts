import { beforeEach, describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../src/store/store.js";
import { Fleet, RecordingStream } from "../support/fleet.js";

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

describe("a store that is down", () => {
  it("stops no heartbeat, and what could not be written is written later", async () => {
    const { leaseId } = await fleet.register(1);
    const stream = new RecordingStream();
    fleet.store.failure = new StoreUnavailableError("disk full");
    fleet.heartbeat(leaseId, stream, "degraded", "stalled");
    await fleet.clock.advance(6_000);
    expect(fleet.heartbeat(leaseId, stream).kind).toBe("renewed");
    expect(fleet.status(1)).toBe("online: registered");
    fleet.store.failure = undefined;
    fleet.heartbeat(leaseId, stream);
    await fleet.clock.advance(6_000);
    expect(fleet.status(1)).toBe("degraded: stalled");
    expect(fleet.store.flushes).toBeGreaterThan(0);
  });
});

it("signs of life are flushed in batches, not one by one", async () => {
  const { leaseId } = await fleet.register(1);
  const stream = new RecordingStream();
  for (let i = 0; i < 100; i++) {
    fleet.heartbeat(leaseId, stream);
    await fleet.clock.advance(100);
  }
  expect(fleet.store.flushes).toBeLessThanOrEqual(5);
});

describe("a stop", () => {
  it("writes what is unflushed, and leaves no timer", async () => {
    const { id, leaseId } = await fleet.register(1);
    await fleet.clock.advance(20);
    fleet.heartbeat(leaseId);
    const heardAt = fleet.clock.wallNow();
    fleet.expiry.stop();
    fleet.watching.drain(0);
    await fleet.flush.stop();
    expect(fleet.clock.pending).toBe(0);
    const { services } = await fleet.store.load();
    expect(services.find((service) => service.id === id)?.lastSeenAt).toBe(heardAt);
  });
});

describe("the first flushes", () => {
  it("come soon after a start and then more seldom, so that short runs count too", async () => {
    await fleet.register(1);
    const at: number[] = [];
    for (let ms = 0; ms < 13_000; ms += 250) {
      const before = fleet.store.flushes;
      await fleet.clock.advance(250);
      if (fleet.store.flushes > before) at.push(ms + 250);
    }
    expect(at).toEqual([250, 750, 1_750, 3_750, 7_750, 12_750]);
  });
});
