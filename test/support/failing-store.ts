import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "vitest";
import type { Commit } from "../../src/core/change.js";
import { ClusterProbes, longestAnswerMs, outcomes } from "./cluster-probes.js";
import { CommitJournal } from "./commit-journal.js";
import { eventually } from "./eventually.js";
import { figure } from "./figures.js";
import { LoadWriters, longestMs, lostWrites } from "./load-writers.js";
import { type Members, monotonicNow } from "./members.js";
import { joinedEnv } from "./preload.js";
import type { RunningProgram } from "./processes.js";
import { seededRandom } from "./seeded-random.js";
import type { Stack } from "./stack.js";

const ROW = 23;
const TTL_MS = 5_000;
/** Longer than a lease lasts. */
const FAILS_FOR_MS = 6_000;
/** A caller that nobody answers gives up after 10 s. */
const CALLER_PATIENCE_MS = 10_000;
/** Within which all writers have a write acknowledged once the store can be written again. */
const RECOVERY_MS = 5_000;
const MEMBERS = 5;

export interface FailingStore {
  /** What the store is, for the figures. */
  readonly what: string;
  readonly stack: Stack;
  readonly fail: (pulse: RunningProgram) => unknown;
  readonly mend: (pulse: RunningProgram) => unknown;
  /** Of Pulse, beside what the test needs. */
  readonly env?: Readonly<Record<string, string>>;
  /** Acknowledged writes before the store fails; 20. */
  readonly writesBefore?: number;
  /** Characters of an edit; 10. */
  readonly settingsSize?: number;
}

let turn: Promise<unknown> = Promise.resolve();

/** Programs of tests that run at once start one after the other, or a busy machine starts none of them in time. */
function inTurn<Started>(start: () => Promise<Started>): Promise<Started> {
  const started = turn.then(start);
  turn = started.catch(() => {});
  return started;
}

/** All that is promised of a Pulse whose store cannot be written for 6 s, whatever the cause. */
export async function survives(
  { what, stack, fail, mend, env = {}, writesBefore = 20, settingsSize = 10 }: FailingStore,
  { expect, onTestFinished }: TestContext,
): Promise<void> {
  const journal = new CommitJournal(stack.group.directory);
  const [pulse, members] = await inTurn(async () => {
    const started = await stack.startPulse(joinedEnv(journal.env, env));
    return [started, await stack.startMembers({ count: MEMBERS, ttlMs: TTL_MS })] as const;
  });
  await members.areRegistered();
  const node = { name: "pulse", connect: () => stack.connect() };
  const probes = await ClusterProbes.start([node], "", MEMBERS);
  onTestFinished(() => probes.stop());
  const random = seededRandom();
  const connect = () => stack.connect("admin");
  const pauseMs = () => 30 * random.next();
  const writers = new LoadWriters({ connect, count: 4, pauseMs, random, settingsSize });
  onTestFinished(() => writers.stop());
  await eventually(() => expect(writers.acknowledged.length).toBeGreaterThan(writesBefore), 30_000);

  await fail(pulse);
  await eventually(() => expect(writers.refused.length).toBeGreaterThan(0), 30_000);
  await sleep(FAILS_FOR_MS);
  const mendedAt = monotonicNow();
  await mend(pulse);
  const againAt = await eventually(() => writers.firstAcknowledged(mendedAt), 15_000);
  const recoveryMs = Math.max(...againAt) - mendedAt;
  figure(ROW, `ms until all write again after the store was ${what}`, recoveryMs);
  expect(recoveryMs).toBeLessThan(RECOVERY_MS);
  await Promise.all([writers.stop(), probes.stop()]);
  onlyWritesWereRefused();
  expect(onlyRegistered(members)).toEqual([]);

  pulse.kill("SIGKILL");
  await pulse.exit;
  const { broken, commits } = await stack.history(journal);
  expect(broken).toEqual([]);
  const lost = lostWrites(writers.acknowledged, commits);
  expect(lost).toEqual([]);
  figure(ROW, `acknowledged writes, ${what}`, writers.acknowledged.length);
  figure(ROW, `acknowledged writes that are lost, ${what}`, lost.length);
  expect(commits.filter(turnsOffline)).toEqual([]);

  await stack.startPulse(journal.env);
  await members.areRegistered();
  const { services } = await stack.connect().registry.listServices({});
  const entries = [...(await stack.entries()).values()];
  // What was refused may be there, but then all of it.
  const ids = services.map(({ id }) => id);
  expect(entries.map(({ serviceId }) => serviceId).sort()).toEqual(ids.sort());

  function onlyWritesWereRefused(): void {
    const { refused } = writers;
    const refusals = refused.map(({ outcome }) => outcome);
    expect([...new Set(refusals)]).toEqual(["Unavailable STORE_UNAVAILABLE"]);
    for (const { failure } of refused) expect(failure?.retryAfterMs).toBeGreaterThan(0);
    figure(ROW, `writes refused, all UNAVAILABLE, ${what}`, refused.length);
    figure(ROW, `ms of the slowest refusal, ${what}`, longestMs(refused));
    expect(longestMs(refused)).toBeLessThan(CALLER_PATIENCE_MS);
    expect(outcomes(probes.beats, 0, Number.POSITIVE_INFINITY)).toEqual(["renewed"]);
    // A list may say that it could not ask the database.
    for (const list of outcomes(probes.lists, 0, Number.POSITIVE_INFINITY))
      expect(["fresh", "stale"]).toContain(list);
    figure(ROW, `ms of the slowest list, ${what}`, longestAnswerMs(probes.lists, 0));
  }
}

/** What happened to members that should not have. */
function onlyRegistered(members: Members): readonly string[] {
  return members
    .events()
    .flatMap(({ member, type }) => (type === "registered" ? [] : [`${member} ${type}`]));
}

/** Somebody did who neither left nor was taken back. */
function turnsOffline({ services, reason }: Commit): boolean {
  const isOffline = services.some(({ status, removed }) => status === "offline" && !removed);
  return isOffline && reason !== "goodbye";
}
