import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventQueue } from "../../src/client/watch-queue.js";
import type { ItemKind } from "../../src/client/watch-topics.js";
import type { ItemEvent, WatchEvent } from "../../src/client/watching.js";
import { seededRandom } from "../support/seeded-random.js";

interface Thing {
  readonly id: string;
  readonly version: number;
}
const KIND: ItemKind<Thing> = {
  idOf: ({ id }) => id,
  nameOf: ({ id }) => id,
  isSame: (one, other) => one.version === other.version,
};

const put = (id: string, version: number, before?: number): ItemEvent<Thing> => ({
  type: "put",
  item: { id, version },
  before: before === undefined ? undefined : { id, version: before },
  reason: `r${version}`,
  revision: BigInt(version),
});
const gone = (id: string, version: number, revision: number): ItemEvent<Thing> => ({
  type: "delete",
  item: { id, version },
  reason: "removed",
  revision: BigInt(revision),
});
const error = new Error("away");
const stale: WatchEvent<Thing> = { type: "stale", error, retryInMs: 0 };
const synced: WatchEvent<Thing> = { type: "synced", revision: 9n };

function taken(...events: WatchEvent<Thing>[]): WatchEvent<Thing>[] {
  const queue = new EventQueue(KIND);
  for (const event of events) queue.add(event);
  const all: WatchEvent<Thing>[] = [];
  for (let event = queue.take(); event; event = queue.take()) all.push(event);
  return all;
}

describe("of several events about one item the newest is told", () => {
  it("with what the reader saw last as `before`, in the place of the newest", () => {
    expect(taken(put("a", 2, 1), put("b", 3), put("a", 4, 2))).toEqual([
      put("b", 3),
      put("a", 4, 1),
    ]);
  });

  it("and nothing if it came and went unseen", () => {
    expect(taken(put("a", 2), put("a", 3, 2), gone("a", 3, 4))).toEqual([]);
  });

  it("but a delete if the reader had seen it", () => {
    expect(taken(put("a", 2, 1), gone("a", 2, 3))).toEqual([gone("a", 2, 3)]);
  });

  it("and a put of what went and came back, with what the reader saw last", () => {
    expect(taken(put("a", 2, 1), gone("a", 2, 3), put("a", 4))).toEqual([put("a", 4, 1)]);
  });
});

it("of what is said of the watch itself, the newest is told, after what it speaks of", () => {
  expect(taken(put("a", 1), stale, put("b", 2), synced)).toEqual([
    put("a", 1),
    put("b", 2),
    synced,
  ]);
  expect(taken(synced, put("a", 1), stale)).toEqual([put("a", 1), stale]);
});

it("is as long as there are items, however many events come", () => {
  const queue = new EventQueue(KIND);
  for (let version = 1; version <= 1_000; version++) {
    queue.add(put(`${version % 7}`, version));
    queue.add(version % 2 ? stale : synced);
  }
  expect(queue.length).toBe(8);
  queue.clear();
  expect([queue.length, queue.take()]).toEqual([0, undefined]);
});

it("leads a reader of any pace to what there is, by revisions that do not fall", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const random = seededRandom(seed).next;
      const queue = new EventQueue(KIND);
      const actual = new Map<string, Thing>();
      const seen = new Map<string, Thing>();
      let newest = 0n;
      const read = () => {
        const event = queue.take();
        if (event?.type !== "put" && event?.type !== "delete") return;
        expect(event.revision).toBeGreaterThanOrEqual(newest);
        newest = event.revision;
        if (event.type === "delete") {
          expect(seen.delete(event.item.id)).toBe(true);
        } else {
          expect(event.before).toEqual(seen.get(event.item.id));
          seen.set(event.item.id, event.item);
        }
      };
      for (let revision = 1; revision <= 60; revision++) {
        const id = `${Math.floor(random() * 4)}`;
        const before = actual.get(id);
        if (before && random() < 0.4) {
          queue.add(gone(id, before.version, revision));
          actual.delete(id);
        } else {
          queue.add(put(id, revision, before?.version));
          actual.set(id, { id, version: revision });
        }
        while (random() < 0.3) read();
      }
      while (queue.length > 0) read();
      expect(seen).toEqual(actual);
    }),
    { seed: 20_260_101, numRuns: 300 },
  );
});
