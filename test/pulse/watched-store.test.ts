import { expect, it } from "vitest";
import { watchStore } from "../../src/pulse/watched-store.js";
import { StoreDivergedError, StoreUnavailableError } from "../../src/store/store.js";
import { requestOf, serviceCommit } from "../store/sample-records.js";
import { ManualClock } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";
import { SharedDatabase, SharedMemoryStore } from "../support/shared-memory-store.js";

it("says once that the store cannot be written, and once that it can again", async () => {
  const store = new MemoryStore();
  const log = recordingLog();
  const changes: boolean[] = [];
  const watched = watchStore(store, new ManualClock(), log, (isAvailable) =>
    changes.push(isAvailable),
  );
  const write = () =>
    watched.flush({ registryTimeMs: 1, presences: [] }).catch((error: Error) => error.message);

  await write();
  store.failure = new StoreUnavailableError("the disk is full");
  expect([await write(), await write()]).toEqual(["the disk is full", "the disk is full"]);
  expect([watched.isAvailable, changes]).toEqual([false, [false]]);
  store.failure = undefined;
  await watched.commit(requestOf([])); // nothing had to be written
  expect(watched.isAvailable).toBe(false);
  await watched.commit(requestOf([serviceCommit(1n)]));
  expect([watched.isAvailable, changes]).toEqual([true, [false, true]]);
  expect(log.lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual([
    "error store.unavailable",
    "info store.available",
  ]);
});

it("is well again when what failed goes well, or was not tried for 5 s while all else did", async () => {
  const store = new SharedMemoryStore(new SharedDatabase(new ManualClock()));
  const changes: boolean[] = [];
  const clock = new ManualClock();
  const { shared } = watchStore(store, clock, recordingLog(), (isAvailable) =>
    changes.push(isAvailable),
  );
  await shared?.join({ id: "node", name: "here" });
  store.errors.push(new StoreUnavailableError("the database is read-only"));
  await expect(shared?.renew("node")).rejects.toThrow();
  await shared?.since({ revision: 0n, stamp: "" });
  await shared?.due();
  expect(changes).toEqual([false]);
  expect(changes).toEqual([false]);
  await shared?.renew("node");
  expect(changes).toEqual([false, true]);

  store.errors.push(new StoreUnavailableError("another node holds the database"));
  await expect(shared?.hold("node", { claims: [], releases: [] })).rejects.toThrow();
  await clock.advance(5_000);
  await shared?.renew("node");
  expect(changes).toEqual([false, true, false]);
  await clock.advance(1);
  await shared?.renew("node");
  expect(changes).toEqual([false, true, false, true]);
});

it("does not take another error for the store's", async () => {
  const store = new MemoryStore();
  store.failure = new StoreDivergedError("someone else wrote");
  const watched = watchStore(store, new ManualClock(), recordingLog(), () => {});
  await expect(watched.commit(requestOf([]))).rejects.toThrow("someone else wrote");
  expect(watched.isAvailable).toBe(true);
});
