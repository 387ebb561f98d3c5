import { beforeEach, describe, expect, it } from "vitest";
import { register } from "../../src/core/registration.js";
import { createRegistry, type Registry, type RegistryOptions } from "../../src/pulse/registry.js";
import { StoreDivergedError, StoreUnavailableError } from "../../src/store/store.js";
import { registerRequest } from "../support/decisions.js";
import { ManualClock } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import { SharedDatabase } from "../support/shared-memory-store.js";

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
  return registry.run(register(request, (secret) => secret, { maxServices }));
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

describe("a registry that stops", () => {
  it("writes what waits, and refuses all later commands without asking the store", async () => {
    const waiting = doRegister(1);
    const stopped = registry.stop();
    const late = refusal(doRegister(2));
    await stopped;
    await store.close();
    expect(await refusal(waiting)).toBe("passed");
    expect([await late, await refusal(doRegister(3))]).toMatchObject([
      { kind: "draining", retryAfterMs: 1_000 },
      { kind: "draining", retryAfterMs: 1_000 },
    ]);
    expect(store.batches).toEqual([1]);
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

describe("on a store that others write to", () => {
  const clock = new ManualClock();
  let database: SharedDatabase;
  beforeEach(() => {
    database = new SharedDatabase(clock);
  });

  /** A node, with the revisions that its listeners heard of. */
  async function node(seed: number, options: Partial<RegistryOptions> = {}) {
    const store = database.open();
    const made = createRegistry({
      store,
      stored: await store.load(),
      clock,
      random: seededRandom(seed),
      registryNow: () => 0,
      log,
      gatherMs: 0,
      ...options,
    });
    const heard: bigint[] = [];
    made.onCommit(({ revision }) => void heard.push(revision));
    const add = (n: number) => {
      const request = registerRequest({ instanceId: `i${n}`, secretHash: `h${n}` });
      return made.run(register(request, (secret) => secret, { maxServices: 100 }));
    };
    return { store, registry: made, heard, add };
  }
  const nothing = () => ({ commit: undefined, outcome: undefined });

  it("a refresh applies what they committed, in order, and each once", async () => {
    const [a, b] = [await node(1), await node(2)];
    await a.add(1);
    await a.add(2);
    await Promise.all([b.registry.refresh(), b.registry.refresh(), b.add(3)]);
    await a.registry.refresh();
    expect([a.heard, b.heard]).toEqual([
      [1n, 2n, 3n],
      [1n, 2n, 3n],
    ]);
    expect(b.registry.catalog).toEqual(a.registry.catalog);
  });

  it("a command is decided on all that they committed before it, never on an older state", async () => {
    const [a, b] = [await node(1), await node(2)];
    await a.add(1);
    const seen: bigint[] = [];
    await b.registry.run(({ catalog }) => {
      seen.push(catalog.revision);
      return nothing();
    });
    expect(seen).toEqual([1n]);
    await Promise.all([a.add(2), b.add(3), a.add(4), b.add(5)]);
    await a.registry.refresh();
    expect(a.heard).toEqual([1n, 2n, 3n, 4n, 5n]);
    const names = [...a.registry.catalog.entries()].map(({ entry }) => entry.name);
    expect(new Set(names).size).toBe(5);
  });

  it("a command is given the holding that it asks for", async () => {
    const a = await node(1);
    const { service } = await a.add(1);
    const holdings = (id?: string) =>
      a.registry.run(
        ({ holdingOf }) => ({ commit: undefined, outcome: holdingOf(service.id) }),
        id,
      );
    expect(await holdings(service.id)).toMatchObject({ leaseId: service.leaseId });
    expect(await holdings()).toBeUndefined();
  });

  it.each(["written", "lost"] as const)(
    "a commit of which nobody knows (it is %s) is said to be so, not tried again, and appears once if it was made",
    async (outcome) => {
      const a = await node(1);
      a.store.unknownOutcomes.push(outcome);
      await expect(a.add(1)).rejects.toThrow(/not known whether this was done/);
      expect(a.heard).toEqual([]);
      await a.registry.refresh();
      await a.add(2);
      expect(a.heard).toEqual(outcome === "written" ? [1n, 2n] : [1n]);
      expect(a.registry.catalog.serviceCount).toBe(outcome === "written" ? 2 : 1);
    },
  );

  it("a batch that met a broken connection is tried once more, and no more than once", async () => {
    const a = await node(1);
    const broken = () => new StoreUnavailableError("the connection broke");
    a.store.errors.push(broken());
    await a.add(1);
    a.store.errors.push(broken(), broken());
    expect(await refusal(a.add(2))).toMatchObject({ kind: "store-unavailable" });
    expect(a.heard).toEqual([1n]);
    await a.add(3);
    expect(a.heard).toEqual([1n, 2n]);
  });

  it("a refresh is shared by those who wait, and none is answered by one that began before", async () => {
    const [a, b] = [await node(1), await node(2)];
    a.store.uses.length = 0;
    database.latencyMs = () => 10;
    const first = a.registry.refresh();
    const added = b.add(1);
    const second = Promise.all(Array.from({ length: 10 }, () => a.registry.refresh()));
    await clock.advance(200);
    await Promise.all([first, added, second]);
    expect(a.store.uses).toEqual(["since", "since"]);
  });

  it("a read is fresh, or says that it may be behind; writing and reading recover by themselves", async () => {
    const [a, b] = [await node(1), await node(2)];
    await b.add(1);
    expect(await a.registry.freshen()).toBe(false);
    expect(a.registry.catalog.revision).toBe(1n);
    a.store.isCutOff = true;
    await b.add(2);
    expect(await a.registry.freshen()).toBe(true);
    expect(a.registry.isStale).toBe(true);
    a.store.uses.length = 0;
    expect(await a.registry.freshen()).toBe(true);
    expect(a.store.uses).toEqual([]); // nobody waits in vain
    await expect(a.registry.refresh()).rejects.toThrow(/nothing was changed/);
    a.store.isCutOff = false;
    await a.registry.refresh();
    expect([a.registry.isStale, a.registry.catalog.revision]).toEqual([false, 2n]);
  });

  it("a history that goes on otherwise is loaded anew, listeners are told, and the command is carried out", async () => {
    const a = await node(1);
    await a.add(1);
    const restore = database.backUp();
    await a.add(2);
    await a.add(3);
    restore();
    const reloads: bigint[] = [];
    a.registry.onReload(({ revision }) => void reloads.push(revision));
    await a.add(4);
    expect(reloads).toEqual([1n]);
    expect(a.heard).toEqual([1n, 2n, 3n, 2n]);
    const names = [...a.registry.catalog.services()].map(({ instanceId }) => instanceId);
    expect(names.sort()).toEqual(["i1", "i4"]);
  });

  it("what is compacted before it was read is loaded, by a refresh too", async () => {
    const [a, b] = [await node(1), await node(2)];
    for (const n of [1, 2, 3]) await b.add(n);
    database.compact(2n);
    await a.registry.refresh();
    expect([a.heard, a.registry.catalog.revision]).toEqual([[], 3n]);
    expect(a.registry.catalog.serviceCount).toBe(3);
  });

  it("another registry in its place is said once and for all", async () => {
    const a = await node(1);
    await a.add(1);
    database.epoch = "epoch-2";
    expect(await refusal(a.add(2))).toMatchObject({ kind: "store-unavailable" });
    expect((await a.registry.diverged).message).toContain("epoch-2");
    expect(database.revision).toBe(1n);
  });

  it("nothing is decided by an old registry time: it is heard of first", async () => {
    const time = { isFresh: false, heard: 0 };
    const sharedTime = {
      get isFresh() {
        return time.isFresh;
      },
      async hear() {
        time.heard++;
        time.isFresh = true;
      },
    };
    const a = await node(1, { sharedTime });
    await a.add(1);
    await a.add(2);
    expect(time.heard).toBe(1);
    // The process stands still between asking and deciding.
    const commit = a.store.commit.bind(a.store);
    a.store.commit = (request) => {
      time.isFresh = time.heard > 1;
      return commit(request);
    };
    await a.add(3);
    expect(time.heard).toBe(2);
    sharedTime.hear = () => Promise.reject(new StoreUnavailableError("away"));
    time.isFresh = false;
    expect(await refusal(a.add(4))).toMatchObject({ kind: "store-unavailable" });
  });
});
