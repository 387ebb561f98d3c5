import { randomInt } from "node:crypto";
import { describe, it } from "vitest";
import { survivesKills } from "../support/kill-run.js";
import { describeStacks } from "../support/stacks.js";

// More rounds of the same: test/soak/kill.soak.ts. PULSE_SEED=… kills at the same moments again.

describe.concurrent("killed at random moments", () => {
  describeStacks("a Pulse", (create) => {
    it("#31 keeps all that it has acknowledged, and watchers miss nothing", async (test) => {
      const stack = await create();
      test.onTestFinished(() => stack.stop());
      const seed = Number(process.env.PULSE_SEED ?? randomInt(2 ** 31));
      await survivesKills({ stack, rounds: stack.database ? 3 : 6, seed }, test);
    }, 90_000);
  });
});
