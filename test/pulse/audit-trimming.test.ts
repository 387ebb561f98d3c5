import { expect, it } from "vitest";
import { startAuditTrimming } from "../../src/pulse/audit-trimming.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { auditEntry } from "../store/sample-records.js";
import { ManualClock } from "../support/manual-clock.js";
import { MemoryStore } from "../support/memory-store.js";
import { recordingLog } from "../support/recording-log.js";

const HOUR_MS = 3_600_000;

function startAt(maxAgeMs: number) {
  const clock = new ManualClock();
  const store = new MemoryStore();
  const log = recordingLog();
  const start = clock.wallNow();
  store.audit.append([0, 1, 2, 3].map((hours) => auditEntry({ at: start - hours * HOUR_MS })));
  const trimming = startAuditTrimming({ store, maxAgeMs, clock, log });
  return { clock, store, log, trimming, left: () => store.audit.entries.length };
}

it("entries go when they are older than the age, at the start and every hour", async () => {
  const { clock, left, trimming } = startAt(2.5 * HOUR_MS);
  await clock.advance(0);
  expect(left()).toBe(3);
  await clock.advance(HOUR_MS - 1);
  expect(left()).toBe(3);
  await clock.advance(1);
  expect(left()).toBe(2);
  await clock.advance(2 * HOUR_MS);
  expect(left()).toBe(0);
  await trimming.stop();
  expect(clock.pending).toBe(0);
});

it("nothing goes if they are kept for ever", async () => {
  const { clock, left, trimming } = startAt(Number.POSITIVE_INFINITY);
  await clock.advance(1_000 * HOUR_MS);
  expect(left()).toBe(4);
  expect(clock.pending).toBe(0);
  await trimming.stop();
});

it("what a store that is down did not delete goes later", async () => {
  const { clock, store, log, left, trimming } = startAt(24 * HOUR_MS);
  store.failure = new StoreUnavailableError("down");
  await clock.advance(30 * HOUR_MS);
  expect(left()).toBe(4);
  store.failure = undefined;
  await clock.advance(HOUR_MS);
  expect(left()).toBe(0);
  expect(log.lines).toEqual([]);
  await trimming.stop();
});
