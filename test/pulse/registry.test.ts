import { beforeEach, describe, expect, it } from "vitest";
import { register } from "../../src/core/registration.js";
import { createRegistry, type Registry } from "../../src/pulse/registry.js";
import { StoreDivergedError, StoreUnavailableError } from "../../src/store/store.js";
import { registerRequest } from "../support/decisions.js";
import { ManualClock } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";

let store: MemoryStore;
let registry: Registry;
let log: ReturnType<typeof recordingLog>;
beforeEach(async () => {
  store = new MemoryStore();
  log = recordingLog();
  registry = createRegistry({
    store,
    stored: await store.load(),
    clock: new ManualClock(),
    random: seededRandom(3),
    registryNow: () => 0,
    log,
    gatherMs: 0,
  });
});

/** Registers instance `n`; all want the same name. */
const doRegister = (n: number, maxServices = 100) => {
  const request = registerRequest({ instanceId: `i${n}`, secretHash: `h${n}` });
  return registry.run(register(request, (secret) => secret, maxServices));
};
const refusal = (call: Promise<unknown>) =>
  call.then(
    () => "passed",
    (error: { refusal?: object }) => error.refusal,
  );

describe("commands that come together", () => {
  it("are one transaction, in which each sees those before it", async () => {
    await Promise.all([doRegister(1), doRegister(2), doRegister(1)]);
    expect(store.batches).toEqual([3]);
    expect(store.commits.map(({ revision }) => revision)).toEqual([1n, 2n, 3n]);
    const names = [...registry.catalog.entries()].map(({ entry }) => entry.name);
    expect(names).toEqual(["haul", "haul-2"]);
  });

  it("fail alone if they are refused", async () => {
    const outcomes = await Promise.all([
      refusal(doRegister(1)),
      refusal(doRegister(2, 1)),
      refusal(doRegister(3)),
    ]);
    expect(outcomes).toMatchObject(["passed", { reason: "TOO_MANY_SERVICES" }, "passed"]);
    expect(registry.catalog.revision).toBe(2n);
  });

  it("that decide nothing new are no transaction", async () => {
    await registry.run(() => ({ commit: undefined, outcome: "nothing" }));
    expect(store.batches).toEqual([]);
  });
});

describe("a store that is down", () => {
  it("refuses with UNAVAILABLE, changes nothing in memory, and is used again once it is back", async () => {
    store.failure = new StoreUnavailableError("the disk is full");
    expect(await refusal(doRegister(1))).toMatchObject({ kind: "store-unavailable" });
    expect([...registry.catalog.services()]).toEqual([]);
    store.failure = undefined;
    await doRegister(1);
    expect(registry.catalog.revision).toBe(1n);
  });

  it("that someone else has written to is said, once and for all", async () => {
    store.failure = new StoreDivergedError("the store stands at revision 7");
    expect(await refusal(doRegister(1))).toMatchObject({ kind: "store-unavailable" });
    expect((await registry.diverged).message).toContain("revision 7");
  });
});

describe("a listener that throws", () => {
  it("is logged, and neither its commit nor the next is lost", async () => {
    const seen: bigint[] = [];
    registry.onCommit(() => {
      throw new Error("a bug");
    });
    registry.onCommit(({ revision }) => void seen.push(revision));
    await Promise.all([doRegister(1), doRegister(2)]);
    expect(seen).toEqual([1n, 2n]);
    expect(registry.catalog.revision).toBe(2n);
    expect(log.lines.map(({ msg }) => msg)).toEqual([
      "registry.listener_failed",
      "registry.listener_failed",
    ]);
  });
});
