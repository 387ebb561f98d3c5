import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { figure } from "../support/figures.js";
import { drainUnder } from "../support/fleet-drain.js";
import {
  newestRevision,
  type Restart,
  restartUnder,
  servicesByStatus,
} from "../support/fleet-restart.js";
import { FleetWatchers } from "../support/fleet-watchers.js";
import { MemberFleet } from "../support/member-fleet.js";
import type { RunningProgram } from "../support/processes.js";
import { soak } from "../support/soak.js";
import { Stack } from "../support/stack.js";

// One fleet of 2,000 goes through one restart after the other, as its Pulse is killed,
// stopped, away for longer, and emptied.

const SIZE = 2_000;

const KILLED: Restart = { signal: "SIGKILL", awayMs: 1_000, data: "kept" };
const EMPTIED: Restart = { signal: "SIGKILL", awayMs: 0, data: "emptied" };
const STOPPED: Restart = { signal: "SIGTERM", awayMs: 0, data: "kept" };

/** No second may have more of them than this many means. */
const MOST_MEANS = 3;
/** Within which the last one is back. */
const BACK_MS = 30_000;
/**
 * Before that backoffs are not fresh again, and a second loss is answered more slowly: a
 * TTL of answered heartbeats, and the interval until the next answer tells that it is over.
 */
const QUIET_MS = 21_000;

const RESTARTS: readonly (Restart & { readonly isInARow?: true })[] = soak(
  [
    KILLED,
    { ...KILLED, awayMs: 5_000 },
    // Longer than a TTL, and the longest backoffs have begun.
    { ...KILLED, awayMs: 30_000 },
    { ...KILLED, awayMs: 0, isInARow: true },
    { ...KILLED, awayMs: 2_000, isInARow: true },
    STOPPED,
    { ...STOPPED, awayMs: 5_000 },
    EMPTIED,
  ],
  [STOPPED, EMPTIED],
);

it("#27 SIGTERM with 1,000 streams and 50 watchers: all are told, Pulse ends in time, and all go on with the next one", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const fleet = await MemberFleet.start(stack, 1_000);
  await fleet.areRegistered(240_000);
  const watchers = new FleetWatchers(50, { pulse: stack.url, token: await stack.token() });
  onTestFinished(() => watchers.stop());
  await watchers.areLive(0n, 60_000);
  const { exit, exitMs, backMs, broken } = await drainUnder(stack, pulse, fleet, watchers);
  expect(broken).toEqual([]);
  expect(exit).toEqual({ code: 0, signal: null });
  expect(exitMs).toBeLessThan(10_000);
  figure(27, "1,000 streams and 50 watchers: from SIGTERM to the exit, ms", exitMs);
  figure(
    27,
    "1,000 streams and 50 watchers: last one back after the next Pulse listens, ms",
    backMs,
  );
});

describe(`${SIZE} clients`, () => {
  let stack: Stack;
  let pulse: RunningProgram;
  let fleet: MemberFleet;
  beforeAll(async () => {
    stack = await Stack.create();
    pulse = await stack.startPulse();
    // A Pulse that was emptied has another token.
    const token = { file: join(stack.dataDirectory, "tokens", "service.token") };
    fleet = await MemberFleet.start(stack, SIZE, { token });
    await fleet.areRegistered(240_000);
  }, 300_000);
  afterAll(() => stack?.stop());

  for (const restart of RESTARTS) {
    const { signal, awayMs, data, isInARow = false } = restart;
    const what = `${SIZE} clients, ${signal}, away ${awayMs / 1_000} s, data ${data}`;
    // Where all register anew it is this machine's processors that say who comes when.
    const isCalm = !isInARow && data === "kept";
    const promise = isCalm ? `, and no second has more than ${MOST_MEANS} means` : "";
    it(`#8 ${what}: all are up, and none has failed${promise}`, async () => {
      if (!isInARow) await sleep(QUIET_MS);
      const watchers = new FleetWatchers(1, { pulse: stack.url, token: await stack.token() });
      onTestFinished(() => watchers.stop());
      await watchers.areLive();
      const comeback = await restartUnder({ stack, pulse, fleet }, restart);
      pulse = comeback.pulse;
      expect(comeback.failures).toEqual([]);
      expect(await servicesByStatus(stack)).toEqual({ ONLINE: SIZE });
      const { spread } = comeback;
      if (isCalm) {
        expect(comeback.backMs).toBeLessThan(BACK_MS);
        expect(spread.peakOverMean, JSON.stringify(spread)).toBeLessThanOrEqual(MOST_MEANS);
      }
      figure(8, `${what}: busiest second over the mean`, spread.peakOverMean);
      figure(8, `${what}: most in one second`, spread.busiestSecond);
      figure(8, `${what}: last one back after Pulse listens, ms`, comeback.backMs);
      if (signal === "SIGTERM") {
        expect(comeback.exit).toEqual({ code: 0, signal: null });
        expect(comeback.exitMs).toBeLessThan(10_000);
        figure(27, `${what}: from SIGTERM to the exit, ms`, comeback.exitMs);
      }
      if (data === "emptied") return;
      // Not even for a moment was anybody OFFLINE.
      await watchers.areLive(await newestRevision(stack));
      const [watcher] = watchers.watchers;
      expect([watcher?.snapshots, watcher?.changes]).toEqual([1, []]);
    });
  }
});
