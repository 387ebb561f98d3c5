import { beforeEach, describe, expect, it } from "vitest";
import { WatchReader } from "../../src/client/watch-reader.js";
import type { WatchEvent } from "../../src/client/watching.js";
import { ManualClock, settle } from "../support/manual-clock.js";

const KIND = {
  idOf: (id: string) => id,
  nameOf: (id: string) => id,
  isSame: () => false,
};
const put = (item: string): WatchEvent<string> => ({
  type: "put",
  item,
  before: undefined,
  reason: "registered",
  revision: 1n,
});

let clock: ManualClock;
let left: number;
let reader: WatchReader<string>;
beforeEach(() => {
  clock = new ManualClock();
  left = 0;
  reader = new WatchReader(KIND, clock, () => left++);
});
const next = async () => {
  const { done, value } = await reader.next();
  return done ? "done" : value.type === "put" ? value.item : value.type;
};

it("hands out what waits, then each event as it comes, to each that asks in turn", async () => {
  reader.push(put("a"));
  const asked = [next(), next(), next()];
  await settle();
  reader.push(put("b"));
  reader.push(put("c"));
  expect(await Promise.all(asked)).toEqual(["a", "b", "c"]);
});

it("holds the process while somebody waits, and only then", async () => {
  expect(clock.pending).toBe(0);
  const asked = [next(), next()];
  expect(clock.pending).toBe(1);
  reader.push(put("a"));
  expect(clock.pending).toBe(1);
  reader.push(put("b"));
  await Promise.all(asked);
  expect(clock.pending).toBe(0);
});

describe("the end", () => {
  it("comes at once, also for those who wait", async () => {
    const asked = [next(), next()];
    reader.end();
    expect(await Promise.all(asked)).toEqual(["done", "done"]);
    expect(await next()).toBe("done");
    expect(clock.pending).toBe(0);
  });

  it("leaves out what waits, unless it comes by an error, which is thrown once", async () => {
    reader.push(put("a"));
    reader.end(new Error("invalid"));
    reader.push(put("b"));
    expect(await next()).toBe("a");
    await expect(next()).rejects.toThrow("invalid");
    expect(await next()).toBe("done");
    reader = new WatchReader(KIND, clock);
    reader.push(put("a"));
    reader.end();
    expect(await next()).toBe("done");
  });
});

it("that leaves is done, also where it waits, and says so", async () => {
  reader.push(put("a"));
  await next();
  const asked = next();
  reader.push(put("b"));
  await asked;
  const waiting = next();
  expect(await reader.return()).toEqual({ done: true, value: undefined });
  expect(await waiting).toBe("done");
  reader.push(put("c"));
  expect([await next(), left, clock.pending]).toEqual(["done", 1, 0]);
});
