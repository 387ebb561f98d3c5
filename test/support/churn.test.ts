import { expect, it } from "vitest";
import { Churn } from "./churn.js";
import { eventually } from "./eventually.js";
import { seededRandom } from "./seeded-random.js";

it("counts each kind until it stops", async () => {
  const churn = new Churn(seededRandom(1));
  churn.add("one", 1, async () => 1);
  churn.add("pair", 5, async () => 2);
  churn.start();
  await eventually(() => expect(churn.counts.get("pair")).toBeGreaterThan(4));
  await churn.stop();
  const counts = new Map(churn.counts);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(churn.counts).toEqual(counts);
  expect(counts.get("one")).toBeGreaterThan(0);
});

it("tells which kind has failed when it stops", async () => {
  const churn = new Churn(seededRandom(1));
  churn.add("bad", 1, async () => {
    throw new Error("no");
  });
  churn.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await expect(churn.stop()).rejects.toThrow("bad: it has failed");
});
