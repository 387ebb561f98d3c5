import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WatchState } from "../../src/client/watch-state.js";
import type { ItemKind, Told } from "../../src/client/watch-topics.js";
import type { WatchEvent } from "../../src/client/watching.js";
import { seededRandom } from "../support/seeded-random.js";

interface Thing {
  readonly id: string;
  readonly name: string;
  readonly version: number;
}
const KIND: ItemKind<Thing> = {
  idOf: ({ id }) => id,
  nameOf: ({ name }) => name,
  isSame: (one, other) => one.version === other.version,
};

const thing = (id: string, version = 1, name = id): Thing => ({ id, version, name });
const message = (event: Told<Thing>["event"], revision: number, resumeToken: string) => ({
  event,
  revision: BigInt(revision),
  resumeToken,
  bookmarkIntervalMs: undefined,
  isStale: false,
});
const snapshot = (items: Thing[], revision: number, more = false) =>
  message({ type: "snapshot", items, more }, revision, more ? "" : `t${revision}`);
const put = (item: Thing, revision: number, token = `t${revision}`) =>
  message({ type: "put", item, reason: "registered" }, revision, token);
const gone = (id: string, revision: number, token = `t${revision}`) =>
  message({ type: "delete", item: thing(id, 0), reason: "removed" }, revision, token);
const bookmark = (revision: number, token = `t${revision}`) =>
  message({ type: "bookmark" }, revision, token);

function setUp(...told: Told<Thing>[]) {
  const state = new WatchState(KIND);
  const apply = (...more: Told<Thing>[]) => more.flatMap((one) => state.apply(one)).map(inShort);
  apply(...told);
  const shown = () => state.items.map(({ id, version }) => `${id}${version}`).join(" ");
  return { state, apply, shown };
}

function inShort(event: WatchEvent<Thing>): string {
  if (event.type === "put")
    return `put ${event.item.id}${event.item.version} was ${event.before?.version} @${event.revision} ${event.reason}`;
  if (event.type === "delete")
    return `delete ${event.item.id}${event.item.version} @${event.revision} ${event.reason}`;
  return event.type === "synced" ? `synced @${event.revision}` : event.type;
}

describe("a Pulse that does not know the newest itself", () => {
  const stale = (told: Told<Thing>): Told<Thing> => ({ ...told, isStale: true });

  it("is shown, and not in step before it is up to date again", () => {
    const { apply, shown } = setUp();
    expect(apply(stale(snapshot([thing("a")], 5)))).toEqual(["put a1 was undefined @5 snapshot"]);
    expect(shown()).toBe("a1");
    expect(apply(stale(bookmark(5)))).toEqual([]);
    expect(apply(bookmark(5))).toEqual(["synced @5"]);
  });

  it("falls behind on a stream that was in step, and catches up on it", () => {
    const { apply } = setUp(snapshot([thing("a")], 5));
    expect(apply(stale(bookmark(5)))).toEqual([]);
    expect(apply(put(thing("b"), 6))).toEqual(["put b1 was undefined @6 registered"]);
    expect(apply(bookmark(6))).toEqual(["synced @6"]);
    expect(apply(bookmark(6))).toEqual([]);
  });
});

describe("a snapshot", () => {
  it("takes effect as one, with its last part (invariant 1)", () => {
    const { state, apply, shown } = setUp();
    expect(apply(snapshot([thing("b")], 5, true))).toEqual([]);
    expect([shown(), state.revision, state.resumeToken]).toEqual(["", 0n, ""]);
    expect(apply(snapshot([thing("a")], 5))).toEqual([
      "put b1 was undefined @5 snapshot",
      "put a1 was undefined @5 snapshot",
      "synced @5",
    ]);
    expect([shown(), state.revision, state.resumeToken]).toEqual(["a1 b1", 5n, "t5"]);
  });

  it("of which a part is missing when the stream is lost has no effect at all (invariant 1)", () => {
    const { state, apply, shown } = setUp(snapshot([thing("a"), thing("b")], 5));
    apply(snapshot([thing("a", 2)], 9, true));
    state.interrupt();
    expect([shown(), state.revision, state.resumeToken]).toEqual(["a1 b1", 5n, "t5"]);
    expect(apply(bookmark(9))).toEqual(["synced @9"]);
    expect(shown()).toBe("a1 b1");
  });

  it("deletes what it lacks, tells what differs, and is silent about the rest (invariant 2)", () => {
    const { apply } = setUp(snapshot([thing("a"), thing("b"), thing("c")], 5));
    expect(apply(snapshot([thing("a"), thing("b", 2)], 9))).toEqual([
      "put b2 was 1 @9 snapshot",
      "delete c1 @9 not in the snapshot",
    ]);
  });

  it("that is empty deletes everything: it is complete", () => {
    const { apply, shown } = setUp(snapshot([thing("a")], 5));
    expect(apply(snapshot([], 6))).toEqual(["delete a1 @6 not in the snapshot"]);
    expect(shown()).toBe("");
  });

  it("keeps changes that came between its parts and are newer, and no token before its end", () => {
    const { state, apply, shown } = setUp();
    apply(snapshot([thing("a")], 5, true), put(thing("b", 6), 6), bookmark(6));
    expect([shown(), state.resumeToken]).toEqual(["", ""]);
    apply(snapshot([thing("c")], 5));
    expect(shown()).toBe("a1 b6 c1");
  });
});

describe("a change", () => {
  it("takes effect when the token moves: its commit is whole (invariant 1)", () => {
    const { state, apply, shown } = setUp(snapshot([thing("a"), thing("b")], 5));
    expect(apply(put(thing("a", 6), 6, "t5"), gone("b", 6, "t5"))).toEqual([]);
    expect([shown(), state.revision]).toEqual(["a1 b1", 5n]);
    expect(apply(put(thing("c", 6), 6))).toEqual([
      "put a6 was 1 @6 registered",
      "delete b1 @6 removed",
      "put c6 was undefined @6 registered",
    ]);
    expect([shown(), state.revision, state.resumeToken]).toEqual(["a6 c6", 6n, "t6"]);
  });

  it.each([
    ["a bookmark", bookmark(6, "t5")],
    ["a bookmark without a token", bookmark(6, "")],
    ["a response of an unknown kind whose token moves", message({ type: "unknown" }, 6, "t6")],
  ])("takes effect with %s too", (_, next) => {
    const { apply, shown } = setUp(snapshot([thing("a")], 5));
    apply(put(thing("a", 6), 6, "t5"));
    expect(apply(next)).toEqual(["put a6 was 1 @6 registered"]);
    expect(shown()).toBe("a6");
  });

  it("of a commit that is not whole when the stream is lost is forgotten: it comes again", () => {
    const { state, apply, shown } = setUp(snapshot([thing("a")], 5));
    apply(put(thing("a", 6), 6, "t5"));
    state.interrupt();
    apply(bookmark(7));
    expect([shown(), state.resumeToken]).toEqual(["a1", "t7"]);
  });

  it("that deletes what is not known is nothing", () => {
    const { apply } = setUp(snapshot([thing("a")], 5));
    expect(apply(gone("z", 6))).toEqual([]);
  });

  it("that deletes shows the item as it was known", () => {
    const { apply } = setUp(snapshot([thing("a", 7)], 5));
    expect(apply(gone("a", 6))).toEqual(["delete a7 @6 removed"]);
  });
});

it("a response of an unknown kind changes nothing, but its token and revision count", () => {
  const { state, apply, shown } = setUp(snapshot([thing("a")], 5));
  expect(apply(message({ type: "unknown" }, 8, "t8"))).toEqual([]);
  expect([shown(), state.revision, state.resumeToken]).toEqual(["a1", 8n, "t8"]);
});

it("is in step once for each stream: with the snapshot, or the bookmark after a resume", () => {
  const { state, apply } = setUp();
  expect(apply(snapshot([], 1), bookmark(2), snapshot([], 3))).toEqual(["synced @1"]);
  state.interrupt();
  expect(apply(put(thing("a"), 4), bookmark(5), bookmark(6))).toEqual([
    "put a1 was undefined @4 registered",
    "synced @5",
  ]);
});

it("shows items in the order of their names, then ids, and the same array until one changes", () => {
  const { state, apply } = setUp(
    snapshot([thing("3", 1, "b"), thing("2", 1, "b"), thing("1", 1, "Z"), thing("4", 1, "a")], 1),
  );
  const { items } = state;
  expect(items.map(({ id }) => id)).toEqual(["1", "4", "2", "3"]);
  apply(bookmark(2));
  expect(state.items).toBe(items);
  apply(gone("4", 3));
  expect(state.items).not.toBe(items);
});

it("introduces all that is known in the order of revisions", () => {
  const { state, apply } = setUp(snapshot([thing("b"), thing("a")], 5));
  apply(put(thing("b", 7), 7), put(thing("c", 6), 6));
  expect(state.introduction().map(inShort)).toEqual([
    "put a1 was undefined @5 snapshot",
    "put c6 was undefined @6 registered",
    "put b7 was undefined @7 registered",
  ]);
});

it("begins with what was known earlier, and resumes from there", () => {
  const { state, apply, shown } = setUp();
  const events = state.restore({ items: [thing("a")], revision: 5n, resumeToken: "t5" });
  expect(events.map(inShort)).toEqual(["put a1 was undefined @5 snapshot"]);
  expect([shown(), state.revision, state.resumeToken]).toEqual(["a1", 5n, "t5"]);
  expect(apply(snapshot([thing("a"), thing("b")], 9))).toEqual([
    "put b1 was undefined @9 snapshot",
    "synced @9",
  ]);
});

/** A Pulse with one thing after another in its registry, all of it remembered. */
class History {
  readonly states: Map<string, Thing>[] = [new Map()];
  readonly commits: { type: "put" | "delete"; item: Thing }[][] = [[]];

  get revision(): number {
    return this.states.length - 1;
  }

  commit(random: () => number): void {
    const state = new Map(this.states[this.revision]);
    const ids = ["a", "b", "c", "d", "e", "f"].filter(() => random() < 0.3);
    const changes = ids.map((id) => {
      const item = thing(id, this.revision + 1);
      const type: "put" | "delete" = random() < 0.35 ? "delete" : "put";
      if (type === "put") state.set(id, item);
      else state.delete(id);
      return { type, item };
    });
    this.states.push(state);
    this.commits.push(changes);
  }

  /** All of one commit, which may be nothing. Only its last message moves the token. */
  *changes(revision: number): Generator<Told<Thing>> {
    const changes = this.commits[revision] ?? [];
    for (const [i, { type, item }] of changes.entries()) {
      const token = i === changes.length - 1 ? `t${revision}` : "";
      yield type === "put" ? put(item, revision, token) : gone(item.id, revision, token);
    }
  }

  *snapshot(random: () => number): Generator<Told<Thing>> {
    const { revision } = this;
    const items = [...(this.states[revision]?.values() ?? [])];
    while (items.length > 0 && random() < 0.6)
      yield snapshot(items.splice(0, 1 + Math.floor(random() * 2)), revision, true);
    yield snapshot(items, revision);
  }

  /** What a stream that was opened with `token` is told; it never ends by itself. */
  *stream(token: string, random: () => number): Generator<Told<Thing>> {
    let sent = token ? Number(token.slice(1)) : -1;
    const isCompacted = random() < 0.3;
    if (sent < 0 || isCompacted) {
      sent = this.revision; // before the parts: commits may come between them
      yield* this.snapshot(random);
    } else {
      const until = this.revision;
      while (sent < until) yield* this.changes(++sent);
      yield bookmark(until);
    }
    for (;;) {
      while (sent < this.revision) yield* this.changes(++sent);
      yield random() < 0.2 ? message({ type: "unknown" }, sent, `t${sent}`) : bookmark(sent);
    }
  }
}

it("follows any history through parts, losses and fresh snapshots (invariants 1 to 4)", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const random = seededRandom(seed).next;
      const history = new History();
      const state = new WatchState(KIND);
      const told = new Map<string, Thing>();
      let stream = history.stream("", random);
      let isSynced = false;
      for (let step = 0; step < 120; step++) {
        if (random() < 0.4) history.commit(random);
        if (random() < 0.08) {
          state.interrupt();
          isSynced = false;
          stream = history.stream(state.resumeToken, random);
        }
        const next = stream.next();
        if (next.done) throw new Error("the stream ended");
        for (const event of state.apply(next.value)) {
          if (event.type === "synced") {
            expect(isSynced).toBe(false);
            isSynced = true;
          } else if (event.type === "put") {
            expect(event.before).toBe(told.get(event.item.id));
            told.set(event.item.id, event.item);
          } else if (event.type === "delete") {
            // Pulse did not have it any more at that revision, and the watcher was told of it.
            expect(history.states[Number(event.revision)]?.has(event.item.id)).toBe(false);
            expect(told.delete(event.item.id)).toBe(true);
          }
        }
        // A commit that came in full is shown at once; one that did not, not at all.
        const pulse = history.states[Number(state.revision)] ?? new Map();
        const shown = Object.fromEntries(state.items.map((item) => [item.id, item.version]));
        const versions = ([id, { version }]: [string, Thing]) => [id, version] as const;
        expect(shown).toEqual(Object.fromEntries([...pulse].map(versions)));
        expect(Object.fromEntries([...told].map(versions))).toEqual(shown);
        expect(Number(state.resumeToken.slice(1) || 0)).toBeLessThanOrEqual(Number(state.revision));
      }
    }),
    { seed: 20_260_101, numRuns: 300 },
  );
});
