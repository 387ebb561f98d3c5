import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { type Spread, spreadOf } from "./arrivals.js";
import type { MemberFleet } from "./member-fleet.js";
import { type MemberEvent, monotonicNow } from "./members.js";
import type { Exit, RunningProgram } from "./processes.js";
import type { Stack } from "./stack.js";

export interface Restart {
  readonly signal: "SIGKILL" | "SIGTERM";
  /** How long nobody listens, on top of what the end and the start take. */
  readonly awayMs: number;
  /** What becomes of the data directory meanwhile. */
  readonly data: "kept" | "emptied";
}

/** How a fleet has come through a restart. */
export interface Comeback {
  /** The Pulse that runs now. */
  readonly pulse: RunningProgram;
  readonly exit: Exit;
  /** From the signal to the exit. */
  readonly exitMs: number;
  /** From when Pulse listened to the last member's return. */
  readonly backMs: number;
  /** Of the returns. */
  readonly spread: Spread;
  /** What went wrong with members: it should be empty. */
  readonly failures: readonly string[];
}

/** Ends Pulse and starts it again on its port, and waits until each member is back. */
export async function restartUnder(
  { stack, pulse, fleet }: { stack: Stack; pulse: RunningProgram; fleet: MemberFleet },
  { signal, awayMs, data }: Restart,
): Promise<Comeback> {
  const endedAt = monotonicNow();
  pulse.kill(signal);
  const exit = await pulse.exit;
  const exitMs = monotonicNow() - endedAt;
  if (data === "emptied") await rm(stack.dataDirectory, { recursive: true });
  await sleep(awayMs);
  const next = await stack.startPulse();
  const listeningAt = monotonicNow();
  const back = (await fleet.each("reconnected", endedAt, 120_000)).map(({ at }) => at);
  return {
    pulse: next,
    exit,
    exitMs,
    backMs: Math.max(...back) - listeningAt,
    spread: spreadOf(back),
    failures: failuresOf(fleet.events(endedAt), listeningAt, data),
  };
}

/**
 * How attempts fail while nobody listens, or the token is not there yet. They may be told
 * a little later than Pulse listens; but nobody is refused, or not answered.
 */
const OF_BEFORE = /ECONNREFUSED|ECONNRESET|ENOENT|no connection: Failed to connect/;

/** What a restart should not come to: one loss and one return is all that happens to a member. */
function failuresOf(
  events: readonly MemberEvent[],
  listeningAt: number,
  data: Restart["data"],
): readonly string[] {
  const seen = new Set<string>();
  return events.flatMap(({ member, type, at, registeredAnew, error }) => {
    const said = `${member} is ${type}${error ? `: ${error}` : ""}`;
    if (type === "attempt-failed")
      return at > listeningAt && !OF_BEFORE.test(error ?? "") ? [said] : [];
    if (seen.has(`${member} ${type}`)) return [`${said}, again`];
    seen.add(`${member} ${type}`);
    if (type === "disconnected") return [];
    if (type !== "reconnected") return [said];
    return registeredAnew === (data === "emptied") ? [] : [`${said}, anew: ${registeredAnew}`];
  });
}

/** Of all that has happened so far. */
export async function newestRevision(stack: Stack): Promise<bigint> {
  return (await stack.connect().registry.listServices({ pageSize: 1 })).revision;
}

/** How many services Pulse says are in each status. */
export async function servicesByStatus(stack: Stack): Promise<Readonly<Record<string, number>>> {
  const { registry } = stack.connect();
  const counts: Record<string, number> = {};
  let pageToken = "";
  do {
    const { services, nextPageToken } = await registry.listServices({ pageSize: 1_000, pageToken });
    for (const { status } of services) {
      const name = ServiceStatus[status] ?? "";
      counts[name] = (counts[name] ?? 0) + 1;
    }
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return counts;
}
