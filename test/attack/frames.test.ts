import { afterAll, beforeAll, describe, it } from "vitest";
import { FRAME_FLOODS } from "../support/attacks/frame-floods.js";
import { Siege } from "../support/siege.js";

describe("frames that cost the sender nothing, as fast as they are taken", () => {
  let siege: Siege;
  beforeAll(async () => {
    siege = await Siege.begin();
  });
  afterAll(() => siege?.end());

  it.each(FRAME_FLOODS)("%s", async (form) => {
    const { harvest } = await siege.attack(
      form,
      { attack: "frames", form, count: 4 },
      { forMs: 2_000 },
    );
    console.log(form, JSON.stringify(harvest));
  });
});
