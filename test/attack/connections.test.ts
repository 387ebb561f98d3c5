import { afterAll, beforeAll, it } from "vitest";
import { SLOW_FORMS } from "../support/attacks/slow.js";
import { Siege } from "../support/siege.js";

let siege: Siege;
beforeAll(async () => {
  siege = await Siege.begin();
});
afterAll(() => siege?.end());

it.each(SLOW_FORMS)("slowloris: %s", async (form) => {
  await siege.attack(`slowloris: ${form}`, { attack: "slow", form, count: 500 }, { forMs: 2_000 });
});

it.each(["silent", "HTTP/1", "HTTP/2", "HTTP/2 with a call"])(
  "10,000 connections: %s",
  async (form) => {
    await siege.attack(
      `10,000 connections, ${form}`,
      { attack: "connections", form, count: 10_000 },
      { forMs: 1_000 },
    );
  },
);
