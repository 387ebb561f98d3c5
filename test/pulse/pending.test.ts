import { beforeEach, expect, it } from "vitest";
import { approve } from "../../src/core/approval.js";
import { register } from "../../src/core/registration.js";
import { shownStatus } from "../../src/core/shown-status.js";
import { startForgetting } from "../../src/pulse/forgetting.js";
import { registerRequest } from "../support/decisions.js";
import { Fleet } from "../support/fleet.js";
import { settle } from "../support/manual-clock.js";

// Who waits for approval lives as everybody does; only, nobody is shown it.

const FORGET_AFTER = 5 * 60_000;

let fleet: Fleet;
let leaseId: string;
beforeEach(async () => {
  fleet = await Fleet.start();
  const { registry, clock, log, registryNow } = fleet;
  startForgetting({ registry, clock, registryNow, forgetAfterMs: FORGET_AFTER, log });
  const request = registerRequest({ instanceId: "i1", secretHash: "h1" });
  const rules = { maxServices: 10, requireApproval: true };
  const done = registry.run(register(request, (secret) => secret, rules));
  await settle();
  leaseId = (await done).service.leaseId;
});

const service = () => fleet.registry.catalog.serviceByInstance("i1");
const entries = () => [...fleet.registry.catalog.entries()].length;

it("it stays alive by heartbeats, turns OFFLINE without, and is shown as pending all the time", async () => {
  await fleet.clock.advance(10_000);
  expect(fleet.heartbeat(leaseId, undefined, "degraded", "disk full").kind).toBe("renewed");
  await fleet.clock.advance(10_000);
  expect(fleet.status(1)).toBe("degraded: disk full");
  await fleet.clock.advance(20_000);
  expect(fleet.status(1)).toBe("offline: expired");
  const now = service();
  expect(now && shownStatus(now)).toBe("pending");
  expect(entries()).toBe(0);
});

it("approved while it is OFFLINE, it is shown so, and comes back as any other", async () => {
  await fleet.clock.advance(20_000);
  const done = fleet.registry.run(approve(service()?.id ?? "", "op"));
  await settle();
  await done;
  expect(fleet.reasons()).toEqual(["registered", "expired", "approved by op"]);
  const [entry] = fleet.registry.catalog.entries();
  expect(entry?.facts).toMatchObject({ availability: "offline", availabilityReason: "expired" });
});

it("it is forgotten when it has been OFFLINE for long", async () => {
  await fleet.clock.advance(2 * FORGET_AFTER);
  expect(fleet.reasons()).toEqual(["registered", "expired", "forgotten"]);
  expect(fleet.registry.catalog.serviceCount).toBe(0);
});
