import { setTimeout as sleep } from "node:timers/promises";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { monotonicNow } from "./members.js";
import type { RunningProgram } from "./processes.js";
import type { Stack } from "./stack.js";

const ASK_INTERVAL_MS = 200;

export interface Restarts {
  /** The run that goes on. */
  readonly pulse: RunningProgram;
  /** Runs that were ended by SIGKILL. */
  readonly kills: number;
  /** How long Pulse has served in all its runs together, in ms; the last one goes on. */
  readonly uptimeMs: number;
}

/**
 * Starts Pulse and kills it with SIGKILL, again and again, until the entry of that name
 * is OFFLINE.
 *
 * @param runMs how long the next run is to serve
 * @throws Error once Pulse has served for longer than `maxUptimeMs`
 */
export async function restartUntilOffline(
  stack: Stack,
  name: string,
  { runMs, maxUptimeMs }: { readonly runMs: () => number; readonly maxUptimeMs: number },
): Promise<Restarts> {
  let uptimeMs = 0;
  for (let kills = 0; ; kills++) {
    const pulse = await stack.startPulse();
    const listensAt = monotonicNow();
    const endsAt = listensAt + runMs();
    while (monotonicNow() < endsAt) {
      await sleep(Math.min(ASK_INTERVAL_MS, Math.max(0, endsAt - monotonicNow())));
      const entry = (await stack.entries()).get(name);
      if (entry?.availability === Availability.OFFLINE)
        return { pulse, kills, uptimeMs: uptimeMs + monotonicNow() - listensAt };
    }
    pulse.kill("SIGKILL");
    await pulse.exit;
    uptimeMs += monotonicNow() - listensAt;
    if (uptimeMs > maxUptimeMs)
      throw new Error(`${name} is not OFFLINE after ${uptimeMs} ms in ${kills + 1} runs`);
  }
}
