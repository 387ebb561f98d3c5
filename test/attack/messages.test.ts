import { afterAll, beforeAll, it } from "vitest";
import { HEADER_BOMBS } from "../support/attacks/header-bombs.js";
import { PACKED_BOMBS } from "../support/attacks/packed-bombs.js";
import { Siege } from "../support/siege.js";

let siege: Siege;
beforeAll(async () => {
  siege = await Siege.begin();
});
afterAll(() => siege?.end());

it.each(HEADER_BOMBS)("headers: %s", async (form) => {
  await siege.attack(
    `headers: ${form}`,
    { attack: "headerBombs", form, count: 4 },
    { forMs: 1_500 },
  );
});

it.each(PACKED_BOMBS)("compressed messages: %s", async (form) => {
  await siege.attack(
    `200 MB of zeros: ${form}`,
    { attack: "packedBombs", form, count: 10 },
    { forMs: 1_500 },
  );
});
