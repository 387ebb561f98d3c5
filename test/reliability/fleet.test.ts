import { expect, it, onTestFinished } from "vitest";
import { figure } from "../support/figures.js";
import { newestRevision, restartUnder, servicesByStatus } from "../support/fleet-restart.js";
import { FleetWatchers } from "../support/fleet-watchers.js";
import { MemberFleet } from "../support/member-fleet.js";
import { Stack } from "../support/stack.js";

// With 2,000, and Pulse away for other whiles: test/soak/fleet.soak.ts.

const SIZE = 300;

it("#8 a fleet whose Pulse was killed is back as it was, and not in a crowd", async () => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const fleet = await MemberFleet.start(stack, SIZE, {}, SIZE / 2);
  await fleet.areRegistered(30_000);
  const watchers = new FleetWatchers(1, { pulse: stack.url, token: await stack.token() });
  onTestFinished(() => watchers.stop());
  await watchers.areLive();

  const { backMs, spread, failures } = await restartUnder(
    { stack, pulse, fleet },
    { signal: "SIGKILL", awayMs: 1_000, data: "kept" },
  );
  expect(failures).toEqual([]);
  expect(await servicesByStatus(stack)).toEqual({ ONLINE: SIZE });
  await watchers.areLive(await newestRevision(stack));
  const [watcher] = watchers.watchers;
  // Not even for a moment was anybody OFFLINE.
  expect([watcher?.snapshots, watcher?.changes]).toEqual([1, []]);
  expect(spread.peakOverMean, JSON.stringify(spread)).toBeLessThanOrEqual(3);
  figure(8, `${SIZE} clients, killed, away 1 s: busiest second over the mean`, spread.peakOverMean);
  figure(8, `${SIZE} clients, killed, away 1 s: last one back after Pulse listens, ms`, backMs);
}, 60_000);
