import { beforeEach, describe, expect, it } from "vitest";
import { updateEntry } from "../../src/core/entry-command.js";
import { startForgetting } from "../../src/pulse/forgetting.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { Fleet } from "../support/fleet.js";
import { settle } from "../support/manual-clock.js";

const MINUTE = 60_000;
/** Then it is forgotten, within half a minute. */
const FORGET_AFTER = 5 * MINUTE;

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

function startWith(forgetAfterMs: number) {
  const { registry, clock, log } = fleet;
  const registryNow = fleet.registryNow;
  return startForgetting({ registry, clock, registryNow, forgetAfterMs, log });
}
const entryNames = () => [...fleet.registry.catalog.entries()].map(({ entry }) => entry.name);

it("who is OFFLINE for that long is removed, with its entry, and the log says so", async () => {
  startWith(FORGET_AFTER);
  const { id } = await fleet.register(1);
  await fleet.clock.advance(FORGET_AFTER);
  expect(fleet.status(1)).toBe("offline: expired");
  await fleet.clock.advance(2 * MINUTE);
  expect(fleet.status(1)).toBe("offline: forgotten");
  expect(fleet.registry.catalog.serviceCount).toBe(0);
  expect(entryNames()).toEqual([]);
  expect(fleet.reasons()).toEqual(["registered", "expired", "forgotten"]);
  expect(fleet.log.lines).toMatchObject([{ msg: "service.forgotten", fields: { serviceId: id } }]);
  await fleet.clock.advance(FORGET_AFTER);
  expect(fleet.reasons()).toHaveLength(3);
});

it("who is alive, or comes back before, is not", async () => {
  startWith(FORGET_AFTER);
  const { leaseId } = await fleet.register(1);
  await fleet.register(2);
  for (let passed = 0; passed < 3 * FORGET_AFTER; passed += 10_000) {
    await fleet.clock.advance(10_000);
    fleet.heartbeat(leaseId);
    if (passed % (4 * MINUTE) === 0) await fleet.register(2);
  }
  expect(fleet.reasons()).not.toContain("forgotten");
});

it("who comes back after that has what its operator had set", async () => {
  startWith(FORGET_AFTER);
  await fleet.register(1);
  const id = fleet.registry.catalog.entryNamed("haul")?.id ?? "";
  const patch = { fields: { name: "mine", category: "tv" }, target: {}, overrides: {} };
  const paths = ["name", "category"];
  const edit = fleet.registry.run(updateEntry({ id, etag: "", patch, paths, by: "ops" }));
  await settle();
  await edit;
  await fleet.clock.advance(2 * FORGET_AFTER);
  expect(entryNames()).toEqual([]);
  await fleet.register(1);
  const [entry] = [...fleet.registry.catalog.entries()];
  expect(entry?.entry).toMatchObject({ id, name: "mine", category: "tv" });
});

describe("only registry time counts", () => {
  it("not a wall clock that jumps", async () => {
    startWith(FORGET_AFTER);
    await fleet.register(1);
    await fleet.clock.advance(MINUTE);
    fleet.clock.setWall(Date.UTC(2036, 0, 1));
    await fleet.clock.advance(2 * MINUTE);
    expect(fleet.status(1)).toBe("offline: expired");
  });

  it("not the time in which no Pulse runs", async () => {
    await fleet.register(1);
    await fleet.clock.advance(MINUTE);
    for (let night = 0; night < 5; night++) {
      await fleet.restart("stop", 24 * 60 * MINUTE);
      startWith(FORGET_AFTER);
      await fleet.clock.advance(MINUTE);
    }
    expect(fleet.status(1)).toBe("offline: expired");
    await fleet.clock.advance(FORGET_AFTER);
    expect(fleet.status(1)).toBe("offline: forgotten");
  });
});

it("while the store is down nobody is forgotten, and once it is up again he is", async () => {
  startWith(FORGET_AFTER);
  await fleet.register(1);
  await fleet.clock.advance(MINUTE);
  fleet.store.failure = new StoreUnavailableError("the disk is full");
  await fleet.clock.advance(FORGET_AFTER + 5 * MINUTE);
  expect(fleet.status(1)).toBe("offline: expired");
  fleet.store.failure = undefined;
  await fleet.clock.advance(2 * MINUTE);
  expect(fleet.status(1)).toBe("offline: forgotten");
});

it("a store that is down for long fills no log, however many are to be forgotten", async () => {
  startWith(FORGET_AFTER);
  for (let n = 0; n < 20; n++) await fleet.register(n);
  await fleet.clock.advance(2 * MINUTE);
  fleet.log.lines.length = 0;
  fleet.store.failure = new StoreUnavailableError("the disk is full");
  await fleet.clock.advance(FORGET_AFTER + 10 * MINUTE);
  const warnings = fleet.log.lines.filter(({ msg }) => msg === "service.not_forgotten");
  expect(warnings).toEqual([]); // watched-store.ts says it, once
  fleet.store.failure = undefined;
  await fleet.clock.advance(2 * MINUTE);
  expect(fleet.registry.catalog.serviceCount).toBe(0);
});

it("never means never", async () => {
  await fleet.register(1);
  await fleet.clock.advance(MINUTE);
  const { registry, clock, log } = fleet;
  const registryNow = () => Number.MAX_SAFE_INTEGER;
  const forgetAfterMs = Number.POSITIVE_INFINITY;
  const forgetting = startForgetting({ registry, clock, registryNow, forgetAfterMs, log });
  await fleet.clock.advance(2 * MINUTE);
  expect(fleet.status(1)).toBe("offline: expired");
  fleet.expiry.stop();
  await fleet.flush.stop();
  fleet.watching.drain(0);
  forgetting.stop();
  expect(fleet.clock.pending).toBe(0);
});

it("a service that should be forgotten within seconds is", async () => {
  startWith(2_000);
  await fleet.register(1);
  await fleet.clock.advance(15_000 + 2_000 + 500);
  expect(fleet.status(1)).toBe("offline: forgotten");
});
