import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { EntryChanges } from "../support/entry-changes.js";
import { figure } from "../support/figures.js";
import { monotonicNow } from "../support/members.js";
import { ShiftedClock } from "../support/preload.js";
import { describeStacks } from "../support/stacks.js";

const TTL_MS = 5_000;
const HOUR_MS = 3_600_000;

describe.concurrent("the wall clock", () => {
  describeStacks("of Pulse and its services", (create) => {
    it("#25 set back and forth expires nobody; who stood still meanwhile is attached within 5 s", async ({
      expect,
      onTestFinished,
    }) => {
      const stack = await create();
      onTestFinished(() => stack.stop());
      const clock = await ShiftedClock.create(stack.group.directory);
      await stack.startPulse(clock.env);
      const stopped = await stack.startMembers(
        { prefix: "stopped", count: 2, ttlMs: TTL_MS },
        clock.env,
      );
      const others = await stack.startMembers(
        { prefix: "other", count: 5, ttlMs: TTL_MS },
        clock.env,
      );
      await stopped.areRegistered();
      await others.areRegistered();
      const changes = await EntryChanges.start(stack.url, await stack.token());
      onTestFinished(() => changes.stop());

      for (const shiftMs of [HOUR_MS, -HOUR_MS]) {
        await clock.shift(shiftMs);
        await sleep(0.4 * TTL_MS); // each has a heartbeat answered meanwhile
      }
      expect(changes.seen).toEqual([]);
      for (const { type } of [...stopped.events(), ...others.events()])
        expect(type).toBe("registered");

      stopped.program.kill("SIGSTOP");
      await clock.shift(HOUR_MS);
      await stack.entryIs("stopped-0", "OFFLINE");
      await stack.entryIs("stopped-1", "OFFLINE");
      await clock.shift(-HOUR_MS);
      await sleep(7_000 - TTL_MS);
      const wokenAt = monotonicNow();
      stopped.program.kill("SIGCONT");
      const back = await stopped.each("reconnected", wokenAt);
      const longestMs = Math.max(...back.map(({ at }) => at - wokenAt));
      figure(25, "ms until who stood still is attached, the wall clock set meanwhile", longestMs);
      expect(longestMs).toBeLessThan(5_000);
      await stack.entryIs("stopped-0", "ONLINE");
      await stack.entryIs("stopped-1", "ONLINE");

      for (const name of others.names) {
        const events = others.events(name);
        expect(events.map(({ type }) => type)).toEqual(["registered"]);
        const reasons = await stack.reasons(events[0]?.serviceId ?? "");
        expect([...new Set(reasons)]).toEqual(["registered"]);
      }
      expect(changes.seen.filter((change) => !change.includes(" stopped-"))).toEqual([]);
    }, 60_000);
  });
});
