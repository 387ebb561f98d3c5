import { expect, it } from "vitest";
import { watchStore } from "../../src/pulse/watched-store.js";
import { StoreDivergedError, StoreUnavailableError } from "../../src/store/store.js";
import { requestOf } from "../store/sample-records.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";

it("says once that the store cannot be written, and once that it can again", async () => {
  const store = new MemoryStore();
  const log = recordingLog();
  const changes: boolean[] = [];
  const watched = watchStore(store, log, (isAvailable) => changes.push(isAvailable));
  const write = () =>
    watched.flush({ registryTimeMs: 1, presences: [] }).catch((error: Error) => error.message);

  await write();
  store.failure = new StoreUnavailableError("the disk is full");
  expect([await write(), await write()]).toEqual(["the disk is full", "the disk is full"]);
  expect([watched.isAvailable, changes]).toEqual([false, [false]]);
  store.failure = undefined;
  await watched.commit(requestOf([]));
  expect([watched.isAvailable, changes]).toEqual([true, [false, true]]);
  expect(log.lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual([
    "error store.unavailable",
    "info store.available",
  ]);
});

it("does not take another error for the store's", async () => {
  const store = new MemoryStore();
  store.failure = new StoreDivergedError("someone else wrote");
  const watched = watchStore(store, recordingLog(), () => {});
  await expect(watched.commit(requestOf([]))).rejects.toThrow("someone else wrote");
  expect(watched.isAvailable).toBe(true);
});
