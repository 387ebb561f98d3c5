import { expect, it } from "vitest";
import { shareRuns } from "../../src/pulse/shared-run.js";
import { settle } from "../support/manual-clock.js";

/** Runs that a test ends one by one. */
function controlled() {
  const runs: { end(): void; fail(error: Error): void }[] = [];
  const run = shareRuns(
    () =>
      new Promise<void>((resolve, reject) => {
        runs.push({ end: resolve, fail: reject });
      }),
  );
  return { run, runs };
}

it("one run serves all who came during the one before, and none is answered by a run that began before", async () => {
  const { run, runs } = controlled();
  const done: string[] = [];
  const call = (name: string) => run().then(() => void done.push(name));
  void call("first");
  void call("a");
  void call("b");
  expect(runs).toHaveLength(1);
  runs[0]?.end();
  await settle();
  expect([done, runs.length]).toEqual([["first"], 2]);
  void call("c");
  runs[1]?.end();
  await settle();
  expect([done, runs.length]).toEqual([["first", "a", "b"], 3]);
  runs[2]?.end();
  await settle();
  expect(done.at(-1)).toBe("c");
  void call("later");
  expect(runs).toHaveLength(4);
});

it("there is never more than one run at a time, however callers come", async () => {
  let running = 0;
  let most = 0;
  const run = shareRuns(async () => {
    most = Math.max(most, ++running);
    await settle(1);
    running--;
  });
  const calls: Promise<void>[] = [];
  for (let i = 0; i < 20; i++) {
    calls.push(run().then(() => void calls.push(run())));
    await Promise.resolve();
    if (i % 3 === 0) await settle(1);
  }
  await Promise.all(calls);
  expect(most).toBe(1);
});

it("a run that fails fails for those who waited for it alone", async () => {
  const { run, runs } = controlled();
  const first = run();
  const second = run();
  runs[0]?.fail(new Error("away"));
  await expect(first).rejects.toThrow("away");
  await settle();
  runs[1]?.end();
  await expect(second).resolves.toBeUndefined();
});
