import { afterAll, beforeAll, describe, it } from "vitest";
import { Siege } from "../support/siege.js";

describe("calls that are begun and never asked", () => {
  let siege: Siege;
  beforeAll(async () => {
    siege = await Siege.begin();
  });
  afterAll(() => siege?.end());

  it.each([
    [20_000, "20000"],
    [50_000, "1000"],
    [2_000, "1000, filled"],
  ])("%d of them, %s on a connection", async (count, form) => {
    const what = `${count} calls, ${form} on a connection`;
    const { harvest } = await siege.attack(
      what,
      { attack: "streams", form, count },
      { forMs: 3_000 },
    );
    console.log(form, JSON.stringify(harvest));
  });
});
