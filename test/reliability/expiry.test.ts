import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, type ExpectStatic, it, type TestContext, vi } from "vitest";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { figure } from "../support/figures.js";
import { areHeard, expiryHealth, haveLapsed, lapses } from "../support/lapses.js";
import { monotonicNow } from "../support/members.js";
import type { RunningProgram } from "../support/processes.js";
import { HAUL } from "../support/pulse.js";
import { restartUntilOffline } from "../support/restarting-pulse.js";
import { Stack } from "../support/stack.js";
import { describeStacks } from "../support/stacks.js";
import { createTurns } from "../support/turns.js";
import { Watchers } from "../support/watchers.js";

vi.setConfig({ maxConcurrency: 9, testTimeout: 120_000 }); // they wait, and do little else

const TTL_MS = 5_000;
const GRACE_MS = 3_000;
/** The TTL of those who ask for none: so long lapses are counted together, and held. */
const WINDOW_MS = 15_000;
/** On a PostgreSQL a Pulse that was killed is taken for dead after so much uptime of another. */
const NODE_TTL_MS = 5_000;
/** How long a watcher keeps what a Pulse that has lost its history does not know. */
const CONFIRM_MS = 30_000;

/** Where all begin at once, the programs of the first would be there with those of the last. */
const turn = createTurns(2);

function engineOf({ task }: TestContext): "SQLite" | "PostgreSQL" {
  return task.suite?.name.endsWith("PostgreSQL") ? "PostgreSQL" : "SQLite";
}

describe.concurrent("while Pulse comes and goes", () => {
  it("#13 with an empty registry for a moment: a manager deletes nothing that comes back, and the rest once that is certain", async ({
    expect,
    onTestFinished,
  }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const token = { file: join(stack.dataDirectory, "tokens", "service.token") };
    const { pulse, back, gone, watchers } = await turn(async () => ({
      pulse: await stack.startPulse(),
      back: await stack.startMembers({ prefix: "back", count: 5, token }),
      gone: await stack.startMembers({ prefix: "gone", token }),
      watchers: await Watchers.start(stack),
    }));
    for (const members of [back, gone]) await members.areRegistered();
    await watchers.showWhatIsListed();
    const [before] = await watchers.shown();
    expect(before?.entries.size).toBe(6);

    back.program.kill("SIGSTOP");
    pulse.kill("SIGKILL");
    await pulse.exit;
    await gone.kill();
    await rm(stack.dataDirectory, { recursive: true });
    const lostAt = monotonicNow();
    await stack.startPulse();
    const { at: knownAt } = await watchers.said(/lost its history/, lostAt);
    expect((await stack.entries()).size).toBe(0);
    const [meanwhile] = await watchers.shown();
    expect(meanwhile).toEqual({ state: "stale", entries: before?.entries });

    back.program.kill("SIGCONT");
    const [synced] = await watchers.each("synced", lostAt, CONFIRM_MS + 25_000);
    await watchers.showWhatIsListed();
    const deleted = watchers.events().filter(({ type }) => type === "delete");
    expect(deleted).toMatchObject([{ name: "gone-0", reason: "not in the snapshot" }]);
    const keptMs = (deleted[0]?.at ?? 0) - knownAt;
    expect(keptMs).toBeGreaterThan(CONFIRM_MS - 500);
    const [after] = await watchers.shown();
    expect([...(before?.entries.keys() ?? [])]).toEqual(
      expect.arrayContaining([...(after?.entries.keys() ?? [])]),
    );
    figure(13, "s that an entry is kept which does not come back", keptMs / 1_000);
    figure(13, "s from an emptied Pulse to certainty", ((synced?.at ?? 0) - lostAt) / 1_000);
  });

  describeStacks("services that live and others that are dead", (create) => {
    it("#10 Pulse down for longer than the TTL: nobody expires before uptime of TTL + grace", async (context) => {
      const { expect } = context;
      const stack = await create();
      context.onTestFinished(() => stack.stop());
      const { pulse, late, dead } = await turn(async () => ({
        pulse: await stack.startPulse(),
        late: await stack.startMembers({ prefix: "late", count: 4, ttlMs: TTL_MS }),
        dead: await stack.startMembers({ prefix: "dead", count: 2, ttlMs: TTL_MS }),
      }));
      const lateIds = await areHeard(stack, late);
      const deadIds = await areHeard(stack, dead);
      // One without a stream, as a program that cron starts.
      const { service } = await stack.connect().registry.register({
        ...HAUL,
        requestedTtl: durationFromMs(TTL_MS),
      });

      pulse.kill("SIGKILL");
      await pulse.exit;
      late.program.kill("SIGSTOP");
      await dead.kill();
      await sleep(TTL_MS + 2_000);
      const startedAt = Date.now();
      await stack.startPulse();
      // Who is back after more than a TTL of uptime, but within the grace, was never OFFLINE.
      await sleep(TTL_MS + 500);
      late.program.kill("SIGCONT");

      const again = stack.connect();
      const lapsed = await haveLapsed(again, [...deadIds, service?.id ?? ""], {
        reason: "expired",
        withinMs: 30_000,
      });
      const uptimes = lapsed.map((at) => at - startedAt);
      expect(Math.min(...uptimes)).toBeGreaterThan(TTL_MS + GRACE_MS);
      expect(await lapses(again, lateIds)).toEqual([]);
      const what = `s of uptime until the dead are OFFLINE, TTL 5 s, ${engineOf(context)}`;
      figure(10, what, Math.max(...uptimes) / 1_000);
    });

    it("#11 Pulse killed every few seconds: a dead instance still expires, and no other", async (context) => {
      const { expect } = context;
      const stack = await create();
      context.onTestFinished(() => stack.stop());
      const { pulse, live, dead } = await turn(async () => ({
        pulse: await stack.startPulse(),
        live: await stack.startMembers({ prefix: "live", count: 2, ttlMs: TTL_MS }),
        dead: await stack.startMembers({ prefix: "dead", ttlMs: TTL_MS }),
      }));
      const liveIds = await areHeard(stack, live);
      const deadIds = await areHeard(stack, dead);
      pulse.kill("SIGKILL");
      await pulse.exit;
      await dead.kill();

      // At least a third of each run counts: see `presence-flush.ts`. On a PostgreSQL it is
      // all but the last second, and the node that died has to be found first.
      const engine = engineOf(context);
      const dueMs = TTL_MS + GRACE_MS + (engine === "PostgreSQL" ? NODE_TTL_MS : 0);
      const lengths = [3_000, 3_700, 1_700, 4_000];
      let runs = 0;
      const { kills, uptimeMs } = await restartUntilOffline(stack, "dead-0", {
        runMs: () => lengths[runs++ % lengths.length] ?? 0,
        maxUptimeMs: 3 * dueMs,
      });
      expect(kills).toBeGreaterThan(1);
      expect(uptimeMs).toBeLessThan(3 * dueMs);
      const connection = stack.connect();
      expect(await lapses(connection, deadIds, "expired")).toHaveLength(1);
      await live.areRegistered();
      expect(await lapses(connection, liveIds)).toEqual([]);
      const what = `s of uptime until the dead is OFFLINE, TTL 5 s, killed ${kills} times, ${engine}`;
      figure(11, what, uptimeMs / 1_000);
    });
  });
});

describe.concurrent("services that lapse", () => {
  it("#12 one of three, silent or killed, is OFFLINE as always", async ({
    expect,
    onTestFinished,
  }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const { pulse, one, others } = await turn(async () => ({
      pulse: await stack.startPulse(),
      one: await stack.startMembers({ prefix: "one", ttlMs: TTL_MS }),
      others: await stack.startMembers({ prefix: "other", count: 2, ttlMs: TTL_MS }),
    }));
    const id = await areHeard(stack, one);
    const otherIds = await areHeard(stack, others);
    const connection = stack.connect();

    one.program.kill("SIGSTOP");
    const stoppedAt = Date.now();
    const [expiredAt = 0] = await haveLapsed(connection, id, { reason: "expired" });
    expect(expiredAt - stoppedAt).toBeLessThan(TTL_MS + 2_000);
    const wokenAt = monotonicNow();
    one.program.kill("SIGCONT");
    await one.each("reconnected", wokenAt); // ONLINE is it a moment before it has a stream

    const killedAt = Date.now();
    await one.kill();
    const [disconnectedAt = 0] = await haveLapsed(connection, id, { reason: "disconnected" });
    expect(disconnectedAt - killedAt).toBeLessThan(GRACE_MS + 2_000);

    expect(await lapses(connection, otherIds)).toEqual([]);
    expect(pulse.lines.map(({ msg }) => msg)).not.toContain("expiry.held");
    expect(await expiryHealth(stack.url)).toBe("ok, SERVING");
    figure(12, "s until one of three is OFFLINE, silent, TTL 5 s", (expiredAt - stoppedAt) / 1_000);
    figure(12, "s until one of three is OFFLINE, killed", (disconnectedAt - killedAt) / 1_000);
  });

  it("#12 eight of ten that fall silent at once are held for one more TTL, and then expire", async ({
    expect,
    onTestFinished,
  }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const { pulse, silent, others } = await turn(async () => ({
      pulse: await stack.startPulse(),
      silent: await stack.startMembers({ prefix: "silent", count: 8, ttlMs: TTL_MS }),
      others: await stack.startMembers({ prefix: "other", count: 2, ttlMs: TTL_MS }),
    }));
    const silentIds = await areHeard(stack, silent);
    const otherIds = await areHeard(stack, others);
    silent.program.kill("SIGSTOP");
    const heldAt = await isHeld(expect, stack, pulse);
    await goesOn(expect, stack, pulse, heldAt, silentIds);
    const connection = stack.connect();
    expect(await lapses(connection, silentIds, "expired")).toHaveLength(8);
    expect(await lapses(connection, otherIds)).toEqual([]);
  });

  describeStacks("whose connections break at once", (create) => {
    it("#12 eight of ten are held for one more TTL, and who is back by then was never OFFLINE", async ({
      expect,
      onTestFinished,
    }) => {
      const stack = await create();
      onTestFinished(() => stack.stop());
      const { pulse, killed, others } = await turn(async () => ({
        pulse: await stack.startPulse(),
        killed: await stack.startMembers({ prefix: "killed", count: 8, ttlMs: TTL_MS }),
        others: await stack.startMembers({ prefix: "other", count: 2, ttlMs: TTL_MS }),
      }));
      const killedIds = await areHeard(stack, killed);
      const otherIds = await areHeard(stack, others);
      await killed.kill();
      const heldAt = await isHeld(expect, stack, pulse);
      // Three of them are back within the hold.
      const back = await stack.startMembers({ prefix: "killed", count: 3, ttlMs: TTL_MS });
      await back.areRegistered();
      await goesOn(expect, stack, pulse, heldAt, killedIds.slice(3));
      const living = [...killedIds.slice(0, 3), ...otherIds];
      expect(await lapses(stack.connect(), living)).toEqual([]);
    });
  });
});

/** Resolves, to when that was, once expiry is held, and nobody is OFFLINE. */
async function isHeld(expect: ExpectStatic, stack: Stack, pulse: RunningProgram): Promise<number> {
  const { time } = await pulse.line("expiry.held");
  expect(await expiryHealth(stack.url)).toBe("held, NOT_SERVING");
  const shown = [...(await stack.entries()).values()].map(({ availability }) => availability);
  expect(shown).toEqual(Array(10).fill(Availability.ONLINE));
  return Date.parse(String(time));
}

/** Resolves once the hold is over, a TTL after it began, and these are OFFLINE. */
async function goesOn(
  expect: ExpectStatic,
  stack: Stack,
  pulse: RunningProgram,
  heldAt: number,
  ids: readonly string[],
): Promise<void> {
  await pulse.line("expiry.goes_on", 0, WINDOW_MS + 10_000);
  const times = await haveLapsed(stack.connect(), ids);
  expect(await expiryHealth(stack.url)).toBe("ok, SERVING");
  expect(Math.min(...times) - heldAt).toBeGreaterThanOrEqual(WINDOW_MS);
  expect(Math.max(...times) - heldAt).toBeLessThan(WINDOW_MS + 3_000);
  figure(12, "s that eight of ten are held for", (Math.min(...times) - heldAt) / 1_000);
}
