import { afterAll, beforeAll, it } from "vitest";
import { Siege } from "../support/siege.js";

let siege: Siege;
beforeAll(async () => {
  siege = await Siege.begin();
});
afterAll(() => siege?.end());

it("failed authentications", async () => {
  await siege.attack(
    "failed authentications",
    { attack: "badTokens", count: 100 },
    { forMs: 2_000 },
  );
});

it.each(["wide", "narrow"])("watches that never read: %s", async (form) => {
  const token = await siege.stack.token("admin");
  await siege.attack(
    `500 watches that never read, ${form}`,
    { attack: "unreadWatches", form, token, count: 500 },
    { forMs: 3_000 },
  );
});

it.each(["plain", "metadata"])("registrations: %s", async (form) => {
  const token = await siege.stack.token();
  const count = form === "plain" ? 10_000 : 500;
  await siege.attack(
    `${count} registrations, ${form}`,
    { attack: "registrations", form, token, count },
    { forMs: 0, keptBytes: 200_000_000 },
  );
});
