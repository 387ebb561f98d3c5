import { it } from "vitest";
import { EntryWriter } from "../support/entry-writer.js";
import { eventually } from "../support/eventually.js";
import { figure } from "../support/figures.js";
import { drainUnder, lastOf, STOPPING, terminate, wasTold } from "../support/fleet-drain.js";
import { FleetWatchers } from "../support/fleet-watchers.js";
import { MemberFleet } from "../support/member-fleet.js";
import type { MemberEvent } from "../support/members.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import type { Exit } from "../support/processes.js";
import { Stack } from "../support/stack.js";
import {
  endlessHeartbeats,
  halfRequest,
  mutePeer,
  unreadHttpWatch,
  unreadWatch,
} from "../support/stubborn-peers.js";

// With 1,000 streams: test/soak/fleet.soak.ts.

const CLEAN: Exit = { code: 0, signal: null };
const EXIT_WITHIN_MS = 10_000;

it("#27 SIGTERM with 300 streams and 30 watchers: all are told, Pulse ends in time, and all go on with the next one", async ({
  expect,
  onTestFinished,
}) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const fleet = await MemberFleet.start(stack, 300, {}, 150);
  await fleet.areRegistered(30_000);
  const watchers = new FleetWatchers(30, { pulse: stack.url, token: await stack.token() });
  onTestFinished(() => watchers.stop());
  await watchers.areLive();
  const { exit, exitMs, backMs, broken } = await drainUnder(stack, pulse, fleet, watchers);
  expect(broken).toEqual([]);
  expect(exit).toEqual(CLEAN);
  expect(exitMs).toBeLessThan(EXIT_WITHIN_MS);
  figure(27, "300 streams and 30 watchers: from SIGTERM to the exit, ms", exitMs);
  figure(27, "300 streams and 30 watchers: last one back after the next Pulse listens, ms", backMs);
}, 60_000);

it.concurrent("#27 SIGTERM with peers that neither read nor end their calls: Pulse ends in time all the same", async ({
  expect,
  onTestFinished,
}) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const stopped = await stack.startMembers({ prefix: "stopped", count: 20 });
  const others = await stack.startMembers({ prefix: "other", count: 20 });
  await Promise.all([stopped.areRegistered(), others.areRegistered()]);
  for (const open of [unreadWatch, endlessHeartbeats, unreadHttpWatch, halfRequest, mutePeer])
    onTestFinished(await open(stack));
  stopped.program.kill("SIGSTOP");

  const { toldAt, exit, exitMs } = await terminate(pulse);
  expect(exit).toEqual(CLEAN);
  expect(exitMs).toBeLessThan(EXIT_WITHIN_MS);
  figure(27, "peers that neither read nor end: from SIGTERM to the exit, ms", exitMs);
  const told = await others.each("disconnected", toldAt);
  expect(told.filter((event) => !wasTold(event))).toEqual([]);
  expect(lastOf(told) - toldAt).toBeLessThan(3_000); // nobody waits for those who do not read

  stopped.program.kill("SIGCONT");
  await stack.startPulse();
  for (const members of [stopped, others]) {
    const back = await members.each("reconnected", toldAt, 30_000);
    expect(back.filter(({ registeredAnew }) => registeredAnew)).toEqual([]);
  }
}, 60_000);

describePostgres("one of two Pulses", () => {
  it.concurrent("#27 that gets SIGTERM loses its clients to the other at once, and nobody is OFFLINE or looks anew", async ({
    expect,
    onTestFinished,
  }) => {
    const { url: database } = await createDatabase();
    const stacks = [await Stack.create({ database }), await Stack.create({ database })] as const;
    for (const stack of stacks) onTestFinished(() => stack.stop());
    const pulses = [await stacks[0].startPulse(), await stacks[1].startPulse()] as const;
    const pulse = stacks.map(({ url }) => url).join(",");
    const members = await stacks[0].startMembers({ pulse, count: 200 });
    await members.areRegistered(30_000);
    const watchers = new FleetWatchers(20, { pulse, token: await stacks[0].token() });
    onTestFinished(() => watchers.stop());
    await watchers.areLive();

    const [leaves, stays] = stacks.map(({ port }) => `127.0.0.1:${port}`);
    const leaving = [...members.newest().values()].filter(({ endpoint }) => endpoint === leaves);
    expect(leaving.length).toBeGreaterThan(0);
    const { toldAt, exit, exitMs } = await terminate(pulses[0]);
    expect(exit).toEqual(CLEAN);
    expect(exitMs).toBeLessThan(EXIT_WITHIN_MS);
    figure(27, "one of two nodes: from SIGTERM to the exit, ms", exitMs);
    const since = (type: MemberEvent["type"]) =>
      members.events().filter((event) => event.at >= toldAt && event.type === type);
    await eventually(() =>
      expect(since("reconnected").length).toBeGreaterThanOrEqual(leaving.length),
    );
    const [lost, back] = [since("disconnected"), since("reconnected")];
    expect([lost.length, back.length]).toEqual([leaving.length, leaving.length]);
    expect(lost.filter(({ error }) => error !== STOPPING)).toEqual([]);
    expect(back.filter((it) => it.registeredAnew || it.endpoint !== stays)).toEqual([]);
    figure(
      27,
      "one of two nodes: from SIGTERM until its last client is at the other, ms",
      lastOf(back) - toldAt,
    );

    const written = new EntryWriter(stacks[1], "after", 10);
    expect(await written.refusal).toBeUndefined();
    await watchers.areLive(written.revision);
    for (const { snapshots, changes } of watchers.watchers) {
      expect(snapshots).toBe(1);
      expect(changes.map(({ name }) => name)).toEqual(written.names);
    }
  }, 60_000);
});
