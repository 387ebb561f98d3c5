import { beforeEach, describe, expect, it } from "vitest";
import { Fleet, RecordingStream } from "../support/fleet.js";

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

describe("a lease is attached", () => {
  it("while its stream is open, and not before its first heartbeat or after the stream's end", async () => {
    const { leaseId } = await fleet.register(1);
    const isAttached = () => fleet.leases.isAttached(leaseId);
    expect(isAttached()).toBe(false);
    const stream = new RecordingStream();
    fleet.heartbeat(leaseId, stream);
    expect(isAttached()).toBe(true);
    fleet.leases.streamBroke(stream, [leaseId]);
    expect(isAttached()).toBe(false);
    fleet.heartbeat(leaseId);
    expect(isAttached()).toBe(true);
  });

  it("not once it is superseded, and never if nobody has given it", async () => {
    const { leaseId } = await fleet.register(1);
    fleet.heartbeat(leaseId);
    await fleet.register(1);
    expect(fleet.leases.isAttached(leaseId)).toBe(false);
    expect(fleet.leases.isAttached("nobody's")).toBe(false);
  });
});

describe("a Register beside an open stream", () => {
  it("that says which lease it holds is that process again; one that does not is another", async () => {
    const { leaseId } = await fleet.register(1);
    fleet.heartbeat(leaseId);
    const isAttached = (id: string) => fleet.leases.isAttached(id);
    const next = await fleet.register(1, { isAttached, heldLeaseId: leaseId });
    fleet.heartbeat(next.leaseId);
    await fleet.register(1, { isAttached });
    // Nobody's stream is open: whoever it is takes nothing from anybody.
    await fleet.register(1, { isAttached });
    expect(fleet.reasons()).toEqual(["registered", "re-registered", "superseded", "re-registered"]);
  });
});

describe("a service was last seen", () => {
  it("at its last heartbeat, though its record is older", async () => {
    const service = await fleet.register(1);
    await fleet.clock.advance(5_000);
    fleet.heartbeat(service.leaseId);
    expect(service.lastSeenAt).toBe(fleet.clock.wallNow() - 5_000);
    expect(fleet.leases.lastSeenAt(service)).toBe(fleet.clock.wallNow());
  });

  it("as its record says once its lease is over", async () => {
    const { leaseId } = await fleet.register(1);
    await fleet.clock.advance(5_000);
    fleet.heartbeat(leaseId);
    const heardAt = fleet.clock.wallNow();
    await fleet.clock.advance(16_000);
    const gone = fleet.registry.catalog.serviceByInstance("i1");
    expect(gone?.status).toBe("offline");
    expect(gone && fleet.leases.lastSeenAt(gone)).toBe(heardAt);
  });
});
