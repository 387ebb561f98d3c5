import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type KeyRing, openKeyRing, rotateKeyFiles } from "../../src/haul/key-ring.js";
import { systemRandom } from "../../src/lib/random.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

let directory: string;
let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "key-ring-test-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  clock = new ManualClock();
  log = recordingLog();
});

const options = () => ({ random: systemRandom, clock, log });
async function open(): Promise<KeyRing> {
  const ring = await openKeyRing(directory, options());
  onTestFinished(() => ring.close());
  return ring;
}
/** As after a SIGKILL: what is written stays, and nothing else does. */
async function crash(ring: KeyRing): Promise<KeyRing> {
  await ring.close();
  clock.cancelAll();
  return open();
}
const accepts = (ring: KeyRing, ...keys: string[]) =>
  keys.map((key) => ring.accepts({ "x-api-key": key }));
const text = (name: string) => readFile(join(directory, name), "utf8").catch(() => undefined);

describe("the keys of Haul's API", () => {
  it("are one that is made once", async () => {
    const ring = await open();
    expect(accepts(ring, ring.current, "another", "")).toEqual([true, false, false]);
    expect(await text("api.key")).toBe(`${ring.current}\n`);
    expect((await crash(ring)).current).toBe(ring.current);
  });

  it("are two after a rotation, until the overlap has passed since Pulse acknowledged the new one", async () => {
    const ring = await open();
    const first = ring.current;
    await ring.rotate(60_000);
    const second = ring.current;
    expect(second).not.toBe(first);
    expect(await text("api.key")).toBe(`${second}\n`);
    expect((await stat(join(directory, "api.key.old"))).mode & 0o777).toBe(0o600);
    await clock.advance(24 * 3_600_000); // Pulse is away
    expect(accepts(ring, first, second)).toEqual([true, true]);
    ring.acknowledge(first);
    await clock.advance(24 * 3_600_000); // that was an answer from before
    expect(accepts(ring, first, second)).toEqual([true, true]);
    ring.acknowledge(second);
    await clock.advance(59_999);
    ring.acknowledge(second); // each Register says it again
    expect(accepts(ring, first, second)).toEqual([true, true]);
    await clock.advance(1);
    expect(accepts(ring, first, second)).toEqual([false, true]);
    await ring.close();
    expect(await text("api.key.old")).toBeUndefined();
    expect(clock.pending).toBe(0);
    expect(JSON.stringify(log.lines)).not.toMatch(new RegExp(`${first}|${second}`));
  });

  it("are two as long as Pulse has the one from before, also if it says so in the middle of a rotation", async () => {
    const ring = await open();
    const first = ring.current;
    const rotated = ring.rotate(60_000);
    await settle();
    ring.acknowledge(first);
    await rotated;
    await clock.advance(24 * 3_600_000);
    expect(accepts(ring, first, ring.current)).toEqual([true, true]);
  });

  it("are three after two, each with a time of its own", async () => {
    const ring = await open();
    const first = ring.current;
    await ring.rotate(60_000);
    const second = ring.current;
    ring.acknowledge(second);
    await clock.advance(30_000);
    await ring.rotate(1_000);
    const third = ring.current;
    expect(accepts(ring, first, second, third)).toEqual([true, true, true]);
    ring.acknowledge(third);
    await clock.advance(1_000);
    expect(accepts(ring, first, second, third)).toEqual([true, false, true]);
    await clock.advance(29_000);
    expect(accepts(ring, first, second, third)).toEqual([false, false, true]);
  });

  it("are at most nine: then nothing is changed, and it is said why", async () => {
    const ring = await open();
    for (let n = 0; n < 8; n++) await ring.rotate(1_000);
    const { current } = ring;
    await expect(ring.rotate(1_000)).rejects.toThrow(/8 keys from before are still accepted/);
    expect(ring.current).toBe(current);
    expect(await text("api.key")).toBe(`${current}\n`);
  });
});

describe("a crash", () => {
  it("after the old key was put aside, before the new one was there: it never happened", async () => {
    const ring = await open();
    const { current } = ring;
    await writeFile(
      join(directory, "api.key.old"),
      JSON.stringify([{ key: current, overlapMs: 1_000 }]),
    );
    const again = await crash(ring);
    expect(again.current).toBe(current);
    again.acknowledge(current);
    await clock.advance(10_000);
    expect(accepts(again, current)).toEqual([true]);
  });

  it("before Pulse has acknowledged: both are accepted until it has", async () => {
    const ring = await open();
    const first = ring.current;
    await ring.rotate(1_000);
    const again = await crash(ring);
    await clock.advance(3_600_000);
    expect(again.current).toBe(ring.current);
    expect(accepts(again, first, ring.current)).toEqual([true, true]);
    again.acknowledge(again.current);
    await clock.advance(1_000);
    expect(accepts(again, first, ring.current)).toEqual([false, true]);
  });

  it("after that: the old one ends when it would have, and at once if that has passed", async () => {
    const ring = await open();
    const first = ring.current;
    await ring.rotate(10_000);
    ring.acknowledge(ring.current);
    await clock.advance(4_000);
    const again = await crash(ring);
    await clock.advance(5_999);
    expect(accepts(again, first)).toEqual([true]);
    const late = await crash(again);
    clock.stall(2);
    const tooLate = await crash(late);
    expect(accepts(tooLate, first)).toEqual([false]);
    await tooLate.close();
    expect(await text("api.key.old")).toBeUndefined();
  });

  it("and a wall clock that was set back: the old one has no more than its overlap", async () => {
    const ring = await open();
    const first = ring.current;
    await ring.rotate(10_000);
    ring.acknowledge(ring.current);
    await ring.close();
    clock = new ManualClock(0, Date.UTC(2020, 0, 1));
    const again = await open();
    await clock.advance(10_000);
    expect(accepts(again, first)).toEqual([false]);
  });
});

describe("the files", () => {
  it("can be changed while no Haul runs", async () => {
    const ring = await open();
    await ring.close();
    await rotateKeyFiles(directory, 5_000, options());
    const next = await open();
    expect(next.current).not.toBe(ring.current);
    expect(accepts(next, ring.current, next.current)).toEqual([true, true]);
  });

  it.each(["", "no JSON plain-secret", '{"key":"plain-secret"}', '[{"key":1,"overlapMs":2}]'])(
    "that are damaged are told without what is in them: %j",
    async (content) => {
      await writeFile(join(directory, "api.key.old"), content);
      const opening = openKeyRing(directory, options());
      await expect(opening).rejects.toThrow(`${join(directory, "api.key.old")} is damaged`);
      await expect(opening).rejects.not.toThrow("plain-secret");
    },
  );
});
