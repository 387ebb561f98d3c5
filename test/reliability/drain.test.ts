import { createClient } from "@connectrpc/connect";
import { it } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/health/v1/health_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { EntryWriter } from "../support/entry-writer.js";
import { eventually } from "../support/eventually.js";
import { figure } from "../support/figures.js";
import { type FleetWatcher, FleetWatchers } from "../support/fleet-watchers.js";
import { MemberFleet } from "../support/member-fleet.js";
import { type MemberEvent, monotonicNow } from "../support/members.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import type { Exit, RunningProgram } from "../support/processes.js";
import { Stack } from "../support/stack.js";
import { statusOf } from "../support/status.js";
import {
  endlessHeartbeats,
  halfRequest,
  mutePeer,
  unreadHttpWatch,
  unreadWatch,
} from "../support/stubborn-peers.js";

const CLEAN: Exit = { code: 0, signal: null };
const EXIT_WITHIN_MS = 10_000;

it("#27 SIGTERM with 1,000 streams and 50 watchers: all are told, Pulse ends in time, and all go on with the next one", async ({
  expect,
  onTestFinished,
}) => {
  const stack = await Stack.create();
  onTestFinished(() => stack.stop());
  const pulse = await stack.startPulse();
  const fleet = await MemberFleet.start(stack, 1_000);
  await fleet.areRegistered(30_000);
  const watchers = new FleetWatchers(50, { pulse: stack.url, token: await stack.token() });
  onTestFinished(() => watchers.stop());
  await watchers.areLive();
  const health = ["", RegistryService.typeName].map((service) => watchHealth(stack.url, service));
  const before = new EntryWriter(stack, "before");
  await eventually(() => expect(before.names.length).toBeGreaterThan(20));

  const { toldAt, exit, tookMs } = await terminate(pulse);
  expect(exit).toEqual(CLEAN);
  expect(tookMs).toBeLessThan(EXIT_WITHIN_MS);
  figure(27, "from SIGTERM to the exit with 1,000 streams and 50 watchers, ms", tookMs);
  for (const statuses of health)
    expect(await statuses).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  expect(await before.refusal).toMatchObject({ code: "Unavailable" });

  await stack.startPulse();
  const listeningAt = monotonicNow();
  const after = new EntryWriter(stack, "after", 30); // while most are still away
  const back = await fleet.each("reconnected", toldAt, 30_000);
  figure(
    27,
    "until the last of 1,000 is back, from the next Pulse's start, ms",
    lastOf(back) - listeningAt,
  );
  const lost = fleet.events(toldAt).filter(({ type }) => type === "disconnected");
  expect(lost).toHaveLength(1_000);
  expect(lost.filter((event) => !isTold(event))).toEqual([]);
  expect(back.filter(({ registeredAnew }) => registeredAnew)).toEqual([]);

  expect(await after.refusal).toBeUndefined();
  await watchers.areLive(after.revision);
  for (const watcher of watchers.watchers) {
    expect(statusOf(watcher.interruptions[0])).toMatchObject(DRAINING);
    expect(watcher.snapshots).toBe(1);
    expect(acknowledged(watcher)).toEqual([...before.names, ...after.names]);
  }

  function acknowledged({ changes }: FleetWatcher): readonly string[] {
    // All that happens by itself would be somebody who turns OFFLINE.
    expect(changes.filter(({ reason }) => reason !== "created by admin")).toEqual([]);
    const written = new Set([...before.names, ...after.names]);
    return changes.map(({ name }) => name).filter((name) => written.has(name));
  }
}, 120_000);

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

  const { toldAt, exit, tookMs } = await terminate(pulse);
  expect(exit).toEqual(CLEAN);
  expect(tookMs).toBeLessThan(EXIT_WITHIN_MS);
  figure(27, "from SIGTERM to the exit with peers that neither read nor end, ms", tookMs);
  const told = await others.each("disconnected", toldAt);
  expect(told.filter((event) => !isTold(event))).toEqual([]);
  expect(lastOf(told) - toldAt).toBeLessThan(3_000); // nobody waits for those who do not read

  stopped.program.kill("SIGCONT");
  await stack.startPulse();
  for (const members of [stopped, others]) {
    const back = await members.each("reconnected", toldAt, 30_000);
    expect(back.filter(({ registeredAnew }) => registeredAnew)).toEqual([]);
  }
});

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

    const stays = `127.0.0.1:${stacks[1].port}`;
    const leaving = members.events().filter(({ endpoint }) => endpoint !== stays).length;
    expect(leaving).toBeGreaterThan(0);
    const { toldAt, exit, tookMs } = await terminate(pulses[0]);
    expect(exit).toEqual(CLEAN);
    expect(tookMs).toBeLessThan(EXIT_WITHIN_MS);
    figure(27, "from SIGTERM to the exit of one of two nodes, ms", tookMs);
    await members.areRegistered();
    const after = members.events().filter(({ at }) => at >= toldAt);
    const lost = after.filter(({ type }) => type === "disconnected");
    const back = after.filter(({ type }) => type === "reconnected");
    expect([lost.length, back.length]).toEqual([leaving, leaving]);
    expect(lost.filter(({ error }) => error !== STOPPING)).toEqual([]);
    expect(back.filter((it) => it.registeredAnew || it.endpoint !== stays)).toEqual([]);
    figure(27, "until the last client of that node is at the other, ms", lastOf(back) - toldAt);

    const written = new EntryWriter(stacks[1], "after", 10);
    expect(await written.refusal).toBeUndefined();
    await watchers.areLive(written.revision);
    for (const { snapshots, changes } of watchers.watchers) {
      expect(snapshots).toBe(1);
      expect(changes.map(({ name }) => name)).toEqual(written.names);
    }
  });
});

const DRAINING = { code: "Unavailable", reason: "DRAINING", retryAfterMs: 1_000 };
/** Only a `draining` on the heartbeat stream itself is called so. */
const STOPPING = "[unavailable] Pulse is stopping";

/** Whether a lost member was told, and does as it was told. */
function isTold({ error, retryInMs = 0 }: MemberEvent): boolean {
  return error === STOPPING && retryInMs >= DRAINING.retryAfterMs;
}

function lastOf(events: readonly MemberEvent[]): number {
  return Math.max(...events.map(({ at }) => at));
}

async function terminate(pulse: RunningProgram) {
  const toldAt = monotonicNow();
  pulse.kill("SIGTERM");
  const exit = await pulse.exit;
  return { toldAt, exit, tookMs: monotonicNow() - toldAt };
}

/** All that a watch of grpc.health.v1 says, until Pulse ends it. */
async function watchHealth(url: string, service: string): Promise<readonly ServingStatus[]> {
  const transport = createGrpcTransport({ address: url });
  const statuses: ServingStatus[] = [];
  try {
    for await (const { status } of createClient(Health, transport).watch({ service }))
      statuses.push(status);
    return statuses;
  } finally {
    transport.close();
  }
}
