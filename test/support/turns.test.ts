import { expect, it } from "vitest";
import { createTurns } from "./turns.js";

it("as many run at a time as may, in the order in which they came, and a failure ends a turn, too", async () => {
  const turn = createTurns(2);
  const ends: (() => void)[] = [];
  const begun: number[] = [];
  const runs = [0, 1, 2, 3].map((n) =>
    turn(async () => {
      begun.push(n);
      await new Promise<void>((resolve, reject) => {
        ends[n] = n === 1 ? () => reject(new Error("failed")) : resolve;
      });
      return n;
    }),
  );
  const outcomes = Promise.allSettled(runs);
  expect(begun).toEqual([0, 1]);
  ends[1]?.();
  await expect(runs[1]).rejects.toThrow("failed");
  expect(begun).toEqual([0, 1, 2]);
  ends[0]?.();
  await runs[0];
  expect(begun).toEqual([0, 1, 2, 3]);
  ends[2]?.();
  ends[3]?.();
  expect((await outcomes).map(({ status }) => status)).toEqual([
    "fulfilled",
    "rejected",
    "fulfilled",
    "fulfilled",
  ]);
});
