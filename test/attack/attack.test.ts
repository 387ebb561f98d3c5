import { afterAll, beforeAll, it } from "vitest";
import { ATTACK_CASES } from "../support/attack-cases.js";
import { Siege } from "../support/siege.js";

// What `test/soak/attack.soak.ts` does at full strength, for a moment each.

const FOR_MS = 700;

const cases = Object.values(ATTACK_CASES)
  .flat()
  .flatMap(({ count: [, short], ...rest }) =>
    short === undefined ? [] : [{ ...rest, count: short }],
  );

let siege: Siege;
beforeAll(async () => {
  siege = await Siege.begin();
});
afterAll(() => siege?.end());

it.each(cases)(
  "under attack a well-behaved client is answered, and memory is bounded: $what",
  async (attack) => {
    await siege.attack(attack, { forMs: FOR_MS });
  },
  60_000,
);
