import { afterAll, beforeAll, describe, it } from "vitest";
import { ATTACK_CASES } from "../support/attack-cases.js";
import { Siege } from "../support/siege.js";
import { soak } from "../support/soak.js";

const FOR_MS = soak(5_000, 2_000);

describe.each(Object.entries(ATTACK_CASES))("%s", (_, cases) => {
  let siege: Siege;
  beforeAll(async () => {
    siege = await Siege.begin();
  });
  afterAll(() => siege?.end());

  for (const { count: counts, ...attack } of cases) {
    const [whole, short = whole] = counts;
    const count = soak(whole, short);
    it(`under attack a well-behaved client is answered, and memory is bounded: ${attack.what}`, async () => {
      await siege.attack({ ...attack, count }, { forMs: FOR_MS, tells: true });
    }, 300_000);
  }
});
