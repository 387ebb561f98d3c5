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
const snapshot = (
  items: Thing[],
  revision: number,
  more = false,
  history: "same" | "another" = "same",
) => message({ type: "snapshot", items, more, history }, revision, more ? "" : `t${revision}`);
/** Of a Pulse that was wiped, or restored from a backup. */
const anew = (items: Thing[], revision: number, more = false) =>
  snapshot(items, revision, more, "another");
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
  const drop = () => state.dropUnconfirmed().map(inShort);
  const shown = () => state.items.map(({ id, version }) => `${id}${version}`).join(" ");
  return { state, apply, drop, shown };
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

describe("a snapshot of another history", () => {
  const KNOWN = [thing("a"), thing("b"), thing("c")];

  it("deletes nothing that it lacks, and is not in step before that is settled (invariants 2, 5, 6)", () => {
    const { state, apply, shown } = setUp(snapshot(KNOWN, 50));
    state.interrupt();
    expect(apply(anew([thing("b", 2)], 3))).toEqual(["put b2 was 1 @3 snapshot"]);
    expect([shown(), [...state.unconfirmed]]).toEqual(["a1 b2 c1", ["a", "c"]]);
    expect([state.revision, state.resumeToken, state.isCaughtUp]).toEqual([3n, "t3", true]);
    expect(apply(bookmark(4))).toEqual([]);
    expect(shown()).toBe("a1 b2 c1");
  });

  it("holds nothing back: changes are told, and what comes back is confirmed", () => {
    const { state, apply } = setUp(snapshot(KNOWN, 50), anew([], 3));
    expect(apply(put(thing("n"), 4), put(thing("a"), 5), put(thing("b", 2), 6))).toEqual([
      "put n1 was undefined @4 registered",
      "put a1 was 1 @5 registered",
      "put b2 was 1 @6 registered",
    ]);
    expect([...state.unconfirmed]).toEqual(["c"]);
    expect(apply(put(thing("c"), 7))).toEqual(["put c1 was 1 @7 registered", "synced @7"]);
  });

  it("lets a DELETE through, and is in step if nothing is left to wait for", () => {
    const { apply, shown } = setUp(snapshot([thing("a")], 50), anew([], 3));
    expect(apply(gone("a", 4))).toEqual(["delete a1 @4 removed", "synced @4"]);
    expect(shown()).toBe("");
  });

  it("that lacks nothing is like any other", () => {
    const { state, apply } = setUp(snapshot(KNOWN, 50));
    state.interrupt();
    expect(apply(anew(KNOWN, 3))).toEqual(["synced @3"]);
  });

  it("keeps nobody waiting who knew nothing", () => {
    const { apply } = setUp();
    expect(apply(anew([thing("a")], 3))).toEqual(["put a1 was undefined @3 snapshot", "synced @3"]);
  });

  it("that came after what was known from a file deletes nothing either", () => {
    const { state, apply, shown } = setUp();
    state.restore({ items: KNOWN, revision: 50n, resumeToken: "t50" });
    apply(anew([thing("a")], 3));
    expect([shown(), [...state.unconfirmed]]).toEqual(["a1 b1 c1", ["b", "c"]]);
  });

  it("takes effect with its last part (invariant 1)", () => {
    const { state, apply } = setUp(snapshot(KNOWN, 50));
    apply(anew([thing("a")], 3, true));
    expect(state.unconfirmed.size).toBe(0);
    apply(anew([thing("b")], 3));
    expect([...state.unconfirmed]).toEqual(["c"]);
  });

  it("is overruled by one of the same history, which confirms at once what it lacks", () => {
    const { state, apply, shown } = setUp(snapshot(KNOWN, 50), anew([], 3));
    state.interrupt();
    expect(apply(snapshot([thing("a")], 9))).toEqual([
      "delete b1 @9 not in the snapshot",
      "delete c1 @9 not in the snapshot",
      "synced @9",
    ]);
    expect(shown()).toBe("a1");
  });

  it("again confirms what it has, and keeps what it lacks", () => {
    const { state, apply } = setUp(snapshot(KNOWN, 50), anew([thing("a")], 3));
    state.interrupt();
    expect(apply(anew([thing("b")], 2))).toEqual([]);
    expect([...state.unconfirmed].sort()).toEqual(["a", "c"]);
  });

  it("from a Pulse that is behind itself is settled once that has caught up", () => {
    const { state, apply, drop } = setUp(snapshot([thing("a")], 50));
    state.interrupt();
    apply({ ...anew([], 3), isStale: true });
    expect([state.isCaughtUp, drop()]).toEqual([false, []]);
    expect(apply(bookmark(3))).toEqual([]);
    expect(drop()).toEqual(["delete a1 @3 not in the snapshot", "synced @3"]);
  });
});

describe("what is unconfirmed", () => {
  const LOST = [snapshot([thing("a"), thing("b")], 50), anew([], 3)];

  it("is deleted when it is said to be over, in the newest state, and then it is in step", () => {
    const { state, apply, drop, shown } = setUp(...LOST, put(thing("a"), 4));
    expect(drop()).toEqual(["delete b1 @4 not in the snapshot", "synced @4"]);
    expect([shown(), state.unconfirmed.size]).toEqual(["a1", 0]);
    expect([drop(), apply(bookmark(5))]).toEqual([[], []]);
  });

  it("is not deleted while the stream is behind: what came meanwhile is heard first", () => {
    const { state, apply, drop, shown } = setUp(...LOST);
    state.interrupt();
    expect(drop()).toEqual([]);
    apply(put(thing("a"), 4));
    expect(drop()).toEqual([]);
    apply(bookmark(4));
    expect(drop()).toEqual(["delete b1 @4 not in the snapshot", "synced @4"]);
    expect(shown()).toBe("a1");
  });

  it.each<[string, Told<Thing>, Told<Thing>]>([
    ["a commit", put(thing("a"), 4, "t3"), put(thing("b"), 4)],
    ["a snapshot", anew([thing("a")], 4, true), anew([thing("b")], 4)],
  ])("is not deleted in the middle of %s, which may bring it back", (_, first, last) => {
    const { apply, drop, shown } = setUp(...LOST, first);
    expect(drop()).toEqual([]);
    expect(apply(last).at(-1)).toBe("synced @4");
    expect(shown()).toBe("a1 b1");
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
  readonly states: Map<string, Thing>[];
  readonly commits: { type: "put" | "delete"; item: Thing }[][] = [[]];
  readonly epoch: number;

  /** @param restored what it begins with */
  constructor(epoch = 0, restored: ReadonlyMap<string, Thing> = new Map()) {
    this.epoch = epoch;
    this.states = [new Map(restored)];
  }

  tokenOf(revision: number): string {
    return `${this.epoch}t${revision}`;
  }

  get revision(): number {
    return this.states.length - 1;
  }

  commit(random: () => number): void {
    const state = new Map(this.states[this.revision]);
    const ids = ["a", "b", "c", "d", "e", "f"].filter(() => random() < 0.3);
    const changes = ids.map((id) => {
      const item = thing(id, this.epoch * 1_000 + this.revision + 1);
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
      const token = i === changes.length - 1 ? this.tokenOf(revision) : "";
      yield type === "put" ? put(item, revision, token) : gone(item.id, revision, token);
    }
  }

  *snapshot(random: () => number, history: "same" | "another"): Generator<Told<Thing>> {
    const { revision } = this;
    const items = [...(this.states[revision]?.values() ?? [])];
    while (items.length > 0 && random() < 0.6)
      yield snapshot(items.splice(0, 1 + Math.floor(random() * 2)), revision, true, history);
    const resumeToken = this.tokenOf(revision);
    yield { ...snapshot(items, revision, false, history), resumeToken };
  }

  /** What a stream that was opened with `token` is told; it never ends by itself. */
  *stream(token: string, random: () => number): Generator<Told<Thing>> {
    const [epoch, revision] = token.split("t").map(Number);
    const isMine = token !== "" && epoch === this.epoch;
    const isCompacted = random() < 0.3;
    let sent = isMine ? (revision ?? 0) : -1;
    if (!isMine || isCompacted) {
      sent = this.revision; // before the parts: commits may come between them
      yield* this.snapshot(random, isMine ? "same" : "another");
    } else {
      const until = this.revision;
      while (sent < until) yield* this.changes(++sent);
      yield bookmark(until, this.tokenOf(until));
    }
    for (;;) {
      while (sent < this.revision) yield* this.changes(++sent);
      yield random() < 0.2
        ? message({ type: "unknown" }, sent, this.tokenOf(sent))
        : bookmark(sent, this.tokenOf(sent));
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
        const [, named = 0] = state.resumeToken.split("t").map(Number);
        expect(named).toBeLessThanOrEqual(Number(state.revision));
      }
    }),
    { seed: 20_260_101, numRuns: 300 },
  );
});

it("follows any history through wipes and restored backups, and drops nothing unasked (invariants 1 to 6)", () => {
  let wipes = 0;
  let dropped = 0;
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const random = seededRandom(seed).next;
      let history = new History();
      /** All that were, by epoch. */
      const histories = [history];
      const state = new WatchState(KIND);
      const told = new Map<string, Thing>();
      let stream = history.stream("", random);
      let isSynced = false;
      const take = (event: WatchEvent<Thing>, isCleared: (id: string) => boolean) => {
        if (event.type === "put") {
          expect(event.before).toEqual(told.get(event.item.id));
          told.set(event.item.id, event.item);
        } else if (event.type === "delete") {
          expect(isCleared(event.item.id)).toBe(true);
          expect(told.delete(event.item.id)).toBe(true);
        } else if (event.type === "synced") isSynced = true;
      };
      for (let step = 0; step < 150; step++) {
        if (random() < 0.4) history.commit(random);
        const isWiped = random() < 0.03;
        if (isWiped) {
          wipes++;
          const backup = history.states[Math.floor(random() * history.states.length)];
          history = new History(histories.length, random() < 0.5 ? backup : undefined);
          histories.push(history);
        }
        if (isWiped || random() < 0.08) {
          state.interrupt();
          isSynced = false;
          stream = history.stream(state.resumeToken, random);
        }
        const next = stream.next();
        if (next.done) throw new Error("the stream ended");
        const { event } = next.value;
        const hasAgain = event.type === "snapshot" && event.history === "another";
        for (const said of state.apply(next.value))
          take(said, (id) => {
            // By a tombstone or in the same history, and never by a snapshot of another one.
            if (said.type !== "delete") return false;
            if (hasAgain) expect(said.reason).not.toBe("not in the snapshot");
            return history.states[Number(said.revision)]?.has(id) === false;
          });
        if (state.unconfirmed.size > 0 && !state.isCaughtUp)
          expect(state.dropUnconfirmed()).toEqual([]);
        if (random() < 0.1) {
          const kept = new Set(state.unconfirmed);
          for (const said of state.dropUnconfirmed()) {
            if (said.type === "delete") dropped++;
            take(said, (id) => kept.has(id));
          }
        }
        if (state.unconfirmed.size > 0) isSynced = false;
        // What is shown is Pulse's state, and beside it what is unconfirmed.
        const [epoch = 0] = state.resumeToken.split("t").map(Number);
        const pulse = histories[epoch]?.states[Number(state.revision)] ?? new Map();
        const versions = ([id, { version }]: [string, Thing]) => [id, version] as const;
        const shown = new Map(state.items.map((item) => [item.id, item]));
        expect(Object.fromEntries([...told].map(versions).sort())).toEqual(
          Object.fromEntries([...shown].map(versions).sort()),
        );
        for (const id of state.unconfirmed) {
          expect(pulse.has(id)).toBe(false);
          expect(shown.delete(id)).toBe(true);
        }
        expect(Object.fromEntries([...shown].map(versions))).toEqual(
          Object.fromEntries([...pulse].map(versions)),
        );
        if (isSynced) expect(state.unconfirmed.size).toBe(0);
      }
    }),
    { seed: 20_260_102, numRuns: 300 },
  );
  expect(wipes).toBeGreaterThan(500);
  expect(dropped).toBeGreaterThan(100);
});
