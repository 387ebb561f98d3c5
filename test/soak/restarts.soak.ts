import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { figure } from "../support/figures.js";
import { areHeard, lapses } from "../support/lapses.js";
import { restartUntilOffline } from "../support/restarting-pulse.js";
import { soak } from "../support/soak.js";
import { describeStacks } from "../support/stacks.js";

const RUN_MS = 20_000;
const TTL_MS = 15_000;
const GRACE_MS = 3_000;
/** Runs after the dead instance has expired, for the living ones' sake. */
const MORE_RUNS = soak(12, 0);

describe.concurrent("Pulse killed every 20 s", () => {
  describeStacks("with services of the usual TTL", (create) => {
    it("#11 a dead instance expires in bounded uptime, and no other ever does", async ({
      expect,
      onTestFinished,
      task,
    }) => {
      const stack = await create();
      onTestFinished(() => stack.stop());
      const first = await stack.startPulse();
      const live = await stack.startMembers({ prefix: "live", count: 20 });
      const dead = await stack.startMembers({ prefix: "dead" });
      const liveIds = await areHeard(stack, live);
      const deadIds = await areHeard(stack, dead);
      first.kill("SIGKILL");
      await first.exit;
      await dead.kill();

      // One run is not enough, and the flush before its end loses less than 5 s of it.
      const { uptimeMs, ...restarts } = await restartUntilOffline(stack, "dead-0", {
        runMs: () => RUN_MS,
        maxUptimeMs: 2 * RUN_MS,
      });
      let { pulse } = restarts;
      expect(uptimeMs).toBeGreaterThan(TTL_MS + GRACE_MS - 1_000);
      expect(uptimeMs).toBeLessThan(2 * RUN_MS);
      expect(await lapses(stack.connect(), deadIds, "expired")).toHaveLength(1);
      for (let n = 0; n < MORE_RUNS; n++) {
        pulse.kill("SIGKILL");
        await pulse.exit;
        pulse = await stack.startPulse();
        await sleep(RUN_MS);
      }
      await live.areRegistered();
      expect(await lapses(stack.connect(), liveIds)).toEqual([]);
      const engine = task.suite?.name.endsWith("PostgreSQL") ? "PostgreSQL" : "SQLite";
      const what = `s of uptime until the dead is OFFLINE, TTL 15 s, killed every 20 s, ${engine}`;
      figure(11, what, uptimeMs / 1_000);
    });
  });
});
