import { isDeepStrictEqual } from "node:util";
import { createClient } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/health/v1/health_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";
import { EntryWriter } from "./entry-writer.js";
import { eventually } from "./eventually.js";
import type { FleetWatcher, FleetWatchers } from "./fleet-watchers.js";
import type { MemberFleet } from "./member-fleet.js";
import { type MemberEvent, monotonicNow } from "./members.js";
import type { Exit, RunningProgram } from "./processes.js";
import type { Stack } from "./stack.js";
import { statusOf } from "./status.js";

/** How long Pulse asks those whom it tells that it stops to wait. */
const RETRY_AFTER_MS = 1_000;
/** Only a `draining` on the heartbeat stream itself is called so by a session. */
export const STOPPING = "[unavailable] Pulse is stopping";

/** How a fleet has come through the stop of its Pulse and the start of the next. */
export interface Drain {
  readonly exit: Exit;
  /** From SIGTERM to the exit. */
  readonly exitMs: number;
  /** From when the next Pulse listened to the last member's return. */
  readonly backMs: number;
  /** What went wrong, in words, each once: it should be empty. */
  readonly broken: readonly string[];
}

/**
 * SIGTERM while members have their streams, watchers watch, health is watched, and
 * somebody writes; then the next Pulse on the same port and data, somebody who writes
 * at once, and all come back.
 */
export async function drainUnder(
  stack: Stack,
  pulse: RunningProgram,
  fleet: MemberFleet,
  watchers: FleetWatchers,
): Promise<Drain> {
  const health = ["", RegistryService.typeName].map((service) => watchHealth(stack.url, service));
  const before = new EntryWriter(stack, "before");
  await eventually(() => {
    if (before.names.length < 20) throw new Error(`only ${before.names.length} are written`);
  }, 30_000);

  const { toldAt, exit, exitMs } = await terminate(pulse);
  const healthBroken = (await Promise.all(health)).filter(
    (said) => !isDeepStrictEqual(said, [ServingStatus.SERVING, ServingStatus.NOT_SERVING]),
  );
  const refusal = await before.refusal;

  await stack.startPulse();
  const listeningAt = monotonicNow();
  const after = new EntryWriter(stack, "after", 30); // while most are still away
  const back = await fleet.each("reconnected", toldAt, 120_000);
  const refusedAfter = await after.refusal;
  await watchers.areLive(after.revision, 60_000);
  return {
    exit,
    exitMs,
    backMs: lastOf(back) - listeningAt,
    broken: once([
      ...healthBroken.map((said) => `health was ${said}`),
      ...(refusal?.code === "Unavailable" ? [] : [`who wrote was refused with ${refusal?.code}`]),
      ...(refusedAfter ? [`who wrote afterwards was refused: ${refusedAfter.message}`] : []),
      ...membersBroken(fleet, toldAt),
      ...watchers.watchers.flatMap((watcher) =>
        watcherBroken(watcher, [...before.names, ...after.names]),
      ),
    ]),
  };
}

/** Each with how often it is there: what goes wrong does so with many. */
function once(problems: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const problem of problems) counts.set(problem, (counts.get(problem) ?? 0) + 1);
  return [...counts].map(([problem, count]) => `${problem} (${count} times)`);
}

/** SIGTERM, and how long it takes. */
export async function terminate(pulse: RunningProgram) {
  const toldAt = monotonicNow();
  pulse.kill("SIGTERM");
  const exit = await pulse.exit;
  return { toldAt, exit, exitMs: monotonicNow() - toldAt };
}

export function lastOf(events: readonly MemberEvent[]): number {
  return Math.max(...events.map(({ at }) => at));
}

/** Each was told once, waits as long as it was asked to, and comes back with its lease. */
function membersBroken(fleet: MemberFleet, toldAt: number): readonly string[] {
  const events = fleet.events(toldAt);
  const lost = events.filter(({ type }) => type === "disconnected");
  return [
    ...(lost.length === fleet.size ? [] : [`${lost.length} losses of ${fleet.size} members`]),
    ...lost.filter((it) => !wasTold(it)).map(({ error }) => `a member lost its stream: ${error}`),
    ...events.filter((it) => it.registeredAnew).map(() => "a member registered anew"),
  ];
}

/** Whether a member that lost its stream was told, and does what it was told. */
export function wasTold({ error, retryInMs = 0 }: MemberEvent): boolean {
  return error === STOPPING && retryInMs >= RETRY_AFTER_MS;
}

/** It was told, went on where it was, and has missed no entry and seen nobody OFFLINE. */
function watcherBroken(
  { interruptions, snapshots, changes }: FleetWatcher,
  acknowledged: readonly string[],
): readonly string[] {
  const told = statusOf(interruptions[0]);
  const written = new Set(acknowledged);
  const seen = changes.map(({ name }) => name).filter((name) => written.has(name));
  return [
    ...(told.reason === "DRAINING" && told.retryAfterMs === RETRY_AFTER_MS
      ? []
      : [`a watcher was told ${told.reason}: ${told.message}`]),
    ...(snapshots === 1 ? [] : [`a watcher has had ${snapshots} snapshots`]),
    ...changes
      .filter(({ reason }) => reason !== "created by admin")
      .map(({ type, reason }) => `a watcher was told of a ${type}: ${reason}`),
    ...(isDeepStrictEqual(seen, acknowledged)
      ? []
      : [`a watcher has seen ${seen.length} of ${acknowledged.length} entries, or not in order`]),
  ];
}

/** All that a watch of grpc.health.v1 says, until Pulse ends it; an error, if it does not. */
async function watchHealth(url: string, service: string): Promise<readonly unknown[]> {
  const transport = createGrpcTransport({ address: url });
  const said: unknown[] = [];
  try {
    for await (const { status } of createClient(Health, transport).watch({ service }))
      said.push(status);
  } catch (error) {
    said.push(error);
  } finally {
    transport.close();
  }
  return said;
}
