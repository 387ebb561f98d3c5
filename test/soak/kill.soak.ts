import { randomInt } from "node:crypto";
import { it } from "vitest";
import { survivesKills } from "../support/kill-run.js";
import { soak } from "../support/soak.js";
import { describeStacks } from "../support/stacks.js";

describeStacks("a Pulse under load", (create) => {
  it("#31 killed again and again keeps all that it has acknowledged, and watchers miss nothing", async (test) => {
    const stack = await create();
    test.onTestFinished(() => stack.stop());
    const seed = Number(process.env.PULSE_SEED ?? randomInt(2 ** 31));
    const rounds = stack.database ? soak(50, 5) : soak(200, 20);
    await survivesKills({ stack, rounds, seed }, test);
  });
});
