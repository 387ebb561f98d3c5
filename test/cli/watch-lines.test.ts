import { expect, test } from "vitest";
import { type ItemView, printChanges } from "../../src/cli/watch-lines.js";
import type { WatchEvent } from "../../src/client/index.js";

interface Box {
  readonly name: string;
  readonly state: string;
  readonly reason: string;
}

const VIEW: ItemView<Box> = {
  table: (boxes) => `table of ${boxes.map(({ name }) => name).join(", ")}`,
  head: ["NAME"],
  cells: ({ name }) => [name],
  stateHead: "STATUS",
  stateOf: ({ state, reason }) => ({ state, reason }),
};

const box = (name: string, state = "online", reason = "registered"): Box => ({
  name,
  state,
  reason,
});
const put = (item: Box, reason: string, before?: Box): WatchEvent<Box> => ({
  type: "put",
  item,
  before,
  reason,
  revision: 1n,
});
const gone = (item: Box, reason: string): WatchEvent<Box> => ({
  type: "delete",
  item,
  reason,
  revision: 1n,
});
const synced: WatchEvent<Box> = { type: "synced", revision: 1n };
const stale: WatchEvent<Box> = { type: "stale", error: new Error("cut"), retryInMs: 0 };

/** What is printed, line by line, the time left out, and what is said in between. */
async function shown(items: readonly Box[], ...events: WatchEvent<Box>[]): Promise<string[]> {
  const out: string[] = [];
  const watch = {
    current: () => ({ items, revision: 1n, state: "live" as const }),
    close: async () => {},
    async *[Symbol.asyncIterator]() {
      yield* events;
    },
  };
  const notes = { lost: () => out.push("lost"), found: () => out.push("found") };
  const refusal = (error: Error) => new Error(`refused: ${error.message}`);
  const print = (text: string) => out.push(...text.split("\n"));
  await printChanges(watch, { notes, refusal }, VIEW, print, { wallNow: () => 0 });
  return out.map((line) => line.replace("1970-01-01T00:00:00Z   ", ""));
}

test("first comes the table of what there is, then a line for each change, in columns", async () => {
  const nas = box("nas");
  const off = box("nas", "offline", "goodbye");
  const lines = await shown(
    [nas, box("a-long-name")],
    put(nas, "snapshot"),
    put(box("a-long-name"), "snapshot"),
    synced,
    put(off, "goodbye", nas),
    put(box("x"), "registered"),
    gone(off, "deregistered"),
  );
  expect(lines).toEqual([
    "found",
    "table of nas, a-long-name",
    "",
    "TIME                   CHANGE    NAME          STATUS     REASON",
    "changed   nas           offline    goodbye",
    "new       x             online     registered",
    "gone      nas           -          deregistered",
  ]);
});

test("after a loss the table does not come again, only what differs", async () => {
  const lines = await shown([box("a")], synced, stale, put(box("b"), "snapshot"), synced);
  expect(lines.filter((line) => line.startsWith("table"))).toHaveLength(1);
  expect(lines.slice(2)).toEqual(["lost", "", expect.any(String), expect.any(String), "found"]);
  expect(lines[5]).toMatch(/^new +b +online/);
});

test("what an item says of itself is added where the change does not say it", async () => {
  const nas = box("nas");
  const full = box("nas", "degraded", "disk full");
  const lines = await shown(
    [nas],
    synced,
    put(full, "status reported", nas),
    put(full, "edited by me", full),
    put(box("b", "degraded", "disk full"), "registered"),
    put(nas, "re-registered", full),
  );
  expect(lines.slice(4).map((line) => line.replace(/^.*(online|degraded) +/, ""))).toEqual([
    "status reported (disk full)",
    "edited by me",
    "registered (disk full)",
    "re-registered",
  ]);
});

test("a refused token ends it", () =>
  expect(
    shown([], synced, { type: "rejected", error: new Error("revoked"), retryInMs: 60_000 }),
  ).rejects.toThrow("refused: revoked"));
