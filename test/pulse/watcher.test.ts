import { beforeEach, describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { type Delivery, Watcher, type WatcherLimits } from "../../src/pulse/watcher.js";
import { settle } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";

// The rule of the resume token: a response has the token of its commit if, with it,
// everything up to that commit was sent, or was replaced by something sent. If not,
// it has the token of the response before it. So whoever resumes misses nothing.

/** A response, and its token behind the arrow: `a5→t4` is item a as of commit 5. */
type Response = string;

let now: number;
let closed: number;
beforeEach(() => {
  now = 0;
  closed = 0;
});

function watcher(limits: Partial<WatcherLimits> = {}, opening: readonly Response[] = []) {
  return new Watcher<Response>({
    opening,
    token: "t0",
    tokenId: "token-1",
    limits: { maxWaiting: 100, maxWaitingSize: 1_000, ...limits },
    now: () => now,
    onClose: () => void closed++,
  });
}

/** What commit `revision` means to the watchers of a view: items `ids`. */
function commit(revision: number, ids: string, size = 1): readonly Delivery<Response>[] {
  const token = `t${revision}`;
  return [...ids].map((id, i) => ({
    id,
    revision: BigInt(revision),
    size,
    completes: i === ids.length - 1,
    token,
    shared: `${id}${revision}→${token}`,
    respond: (other) => `${id}${revision}→${other}`,
  }));
}

/** The next `count` responses. */
async function read(from: Watcher<Response>, count: number): Promise<Response[]> {
  const responses: Response[] = [];
  for (let i = 0; i < count; i++) {
    const result = await from.next();
    if (result.done) throw new Error("the stream has ended");
    responses.push(result.value);
  }
  return responses;
}

/** Whether a read that has begun has something by now. */
async function isReady(reading: Promise<unknown>): Promise<boolean> {
  const nothing = Symbol("nothing");
  await settle(1);
  return (await Promise.race([reading, Promise.resolve(nothing)])) !== nothing;
}

const refusal = (reading: Promise<unknown>) =>
  reading.then(
    () => "it did not fail",
    (error: unknown) => (error instanceof DomainError ? error.refusal : error),
  );

describe("a watcher that keeps up", () => {
  it("gets each change at once, in order, each with the token of its commit", async () => {
    const open = watcher();
    const first = open.next();
    expect(await isReady(first)).toBe(false);
    open.push(commit(1, "a"));
    expect(await first).toEqual({ done: false, value: "a1→t1" });
    open.push(commit(2, "b"));
    open.push(commit(3, "c"));
    expect(await read(open, 2)).toEqual(["b2→t2", "c3→t3"]);
    const next = open.next();
    expect(await isReady(next)).toBe(false);
    open.end(new Error("over"));
    await expect(next).rejects.toThrow("over");
  });

  it("gets the very response that all the others get", async () => {
    const shared = { response: "one" };
    const delivery = {
      ...commit(1, "a")[0],
      shared,
      respond: () => ({ response: "a copy" }),
    } as Delivery<object>;
    for (let i = 0; i < 2; i++) {
      const open = watcher() as unknown as Watcher<object>;
      open.push([delivery]);
      expect((await open.next()).value).toBe(shared);
    }
  });

  it("gets the token of a commit of several items with the last of them", async () => {
    const open = watcher();
    open.push(commit(4, "ab"));
    open.push(commit(5, "cde"));
    expect(await read(open, 5)).toEqual(["a4→t0", "b4→t4", "c5→t4", "d5→t4", "e5→t5"]);
  });
});

describe("a watcher that does not keep up", () => {
  it.each<[string, (open: Watcher<Response>) => void, Response[]]>([
    [
      "one item again and again",
      (open) => [1, 2, 3].forEach((revision) => void open.push(commit(revision, "a"))),
      ["a3→t3"],
    ],
    [
      "an item before another",
      (open) => {
        open.push(commit(1, "a"));
        open.push(commit(2, "b"));
        open.push(commit(3, "a"));
      },
      ["b2→t0", "a3→t3"],
    ],
    [
      "what comes after that is whole again",
      (open) => {
        open.push(commit(1, "a"));
        open.push(commit(2, "b"));
        open.push(commit(3, "a"));
        open.push(commit(4, "c"));
      },
      ["b2→t0", "a3→t3", "c4→t4"],
    ],
    [
      "the first of a commit of two",
      (open) => {
        open.push(commit(1, "ab"));
        open.push(commit(2, "a"));
      },
      ["b1→t0", "a2→t2"],
    ],
    [
      "the last of a commit of two",
      (open) => {
        open.push(commit(1, "ab"));
        open.push(commit(2, "b"));
      },
      ["a1→t0", "b2→t2"],
    ],
    [
      "all of a commit of two by another of two",
      (open) => {
        open.push(commit(1, "ab"));
        open.push(commit(2, "ba"));
        open.push(commit(3, "c"));
      },
      ["b2→t0", "a2→t2", "c3→t3"],
    ],
    [
      "one item twice, with others between",
      (open) => {
        open.push(commit(1, "a"));
        open.push(commit(2, "b"));
        open.push(commit(3, "a"));
        open.push(commit(4, "c"));
        open.push(commit(5, "a"));
      },
      ["b2→t0", "c4→t0", "a5→t5"],
    ],
  ])("gets the newest of an item, and no token too many: %s", async (_, push, expected) => {
    const open = watcher();
    push(open);
    expect(await read(open, expected.length)).toEqual(expected);
    expect(await isReady(open.next())).toBe(false);
  });

  it("that has sent half of a commit gets no token for it if the other half is replaced", async () => {
    const open = watcher();
    open.push(commit(1, "ab"));
    expect(await read(open, 1)).toEqual(["a1→t0"]);
    open.push(commit(2, "c"));
    open.push(commit(3, "b"));
    expect(await read(open, 2)).toEqual(["c2→t0", "b3→t3"]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "never has a token for what it has not got, nor one older than before (seed %d)",
    async (seed) => {
      const random = seededRandom(seed);
      const below = (bound: number) => Math.floor(random.next() * bound);
      const open = watcher();
      /** For each item, the revisions in which it changed. */
      const changes = new Map<string, number[]>();
      const got = new Map<string, number>();
      let revision = 0;
      const waiting = new Set<string>();
      let token = 0;
      for (let step = 0; step < 2_000; step++) {
        if (random.next() < 0.45) {
          revision++;
          const ids = [...new Set(Array.from({ length: 1 + below(3) }, () => "abcdef"[below(6)]))];
          for (const id of ids as string[]) {
            changes.set(id, [...(changes.get(id) ?? []), revision]);
            waiting.add(id);
          }
          open.push(commit(revision, ids.join("")));
        } else if (waiting.size > 0) {
          const [response = ""] = await read(open, 1);
          const [, id = "", at, named] = /^(\w)(\d+)→t(\d+)$/.exec(response) ?? [];
          got.set(id, Number(at));
          waiting.delete(id);
          expect(Number(named)).toBeGreaterThanOrEqual(token);
          token = Number(named);
          for (const [changed, revisions] of changes) {
            const owed = Math.max(0, ...revisions.filter((each) => each <= token));
            expect(got.get(changed) ?? 0, `${changed} at ${token}`).toBeGreaterThanOrEqual(owed);
          }
          if (waiting.size === 0) expect(token).toBe(revision); // and it is whole again
        }
      }
      expect(token).toBeGreaterThan(100);
    },
  );
});

describe("a bookmark", () => {
  it("comes if nothing waits, and its token holds for what comes after", async () => {
    const open = watcher();
    open.bookmark("mark→t7", "t7");
    open.push(commit(8, "ab"));
    expect(await read(open, 3)).toEqual(["mark→t7", "a8→t7", "b8→t8"]);
  });

  it("is left out while something waits: a change, the opening, or another bookmark", async () => {
    const busy = watcher();
    busy.push(commit(1, "ab"));
    busy.bookmark("mark→t1", "t1");
    expect(await read(busy, 2)).toEqual(["a1→t0", "b1→t1"]);
    expect(await isReady(busy.next())).toBe(false);

    const opening = watcher({}, ["one", "two→t0"]);
    opening.bookmark("mark→t0", "t0");
    expect(await read(opening, 1)).toEqual(["one"]);
    opening.bookmark("mark→t0", "t0");
    expect(await read(opening, 1)).toEqual(["two→t0"]);
    expect(await isReady(opening.next())).toBe(false);

    const asleep = watcher();
    asleep.bookmark("first→t1", "t1");
    asleep.bookmark("second→t2", "t2");
    expect(await read(asleep, 1)).toEqual(["first→t1"]);
    expect(await isReady(asleep.next())).toBe(false);
  });
});

describe("the opening", () => {
  it("comes before all that is pushed meanwhile, which goes on from its token", async () => {
    const open = watcher({}, ["part 1", "part 2→t0"]);
    open.push(commit(1, "a"));
    expect(await read(open, 1)).toEqual(["part 1"]);
    open.push(commit(2, "b"));
    open.push(commit(3, "a"));
    expect(await read(open, 3)).toEqual(["part 2→t0", "b2→t0", "a3→t3"]);
  });

  it("that is not read does not save a watcher from its bounds", async () => {
    const open = watcher({ maxWaiting: 2 }, ["part 1", "part 2→t0"]);
    for (const [i, id] of ["a", "b", "c"].entries()) open.push(commit(i + 1, id));
    expect(await refusal(open.next())).toEqual({ kind: "lagging" });
  });
});

describe("past its bounds a watcher is ended as lagging, and nothing waits for it any more", () => {
  it("in items", async () => {
    const open = watcher({ maxWaiting: 2 });
    open.push(commit(1, "a"));
    open.push(commit(2, "b"));
    open.push(commit(3, "ab")); // replaces
    expect(closed).toBe(0);
    open.push(commit(4, "c"));
    expect(closed).toBe(1);
    expect(await refusal(open.next())).toEqual({ kind: "lagging" });
    expect(await open.next()).toEqual({ done: true, value: undefined });
  });

  it("in characters", async () => {
    const open = watcher({ maxWaitingSize: 10 });
    open.push(commit(1, "a", 6));
    open.push(commit(2, "a", 7)); // in the place of the first
    expect(await read(open, 1)).toEqual(["a2→t2"]);
    open.push(commit(3, "ab", 5));
    expect(closed).toBe(0);
    open.push(commit(4, "c", 1));
    expect(await refusal(open.next())).toEqual({ kind: "lagging" });
  });

  it("but not if it has read all before", async () => {
    const open = watcher({ maxWaiting: 1 });
    for (let revision = 1; revision < 50; revision++) {
      open.push(commit(revision, "abc"[revision % 3] as string));
      expect(await read(open, 1)).toHaveLength(1);
    }
    expect(closed).toBe(0);
  });
});

describe("a watcher is stalled", () => {
  it("if it has taken nothing of what waits for longer than that", async () => {
    const open = watcher();
    open.push(commit(1, "a"));
    open.push(commit(2, "b"));
    await read(open, 1);
    now = 30_000;
    open.endIfStalled(30_000);
    expect(closed).toBe(0);
    now = 30_001;
    open.endIfStalled(30_000);
    expect(closed).toBe(1);
    expect(await refusal(open.next())).toEqual({ kind: "lagging" });
  });

  it("also in its opening, or at a bookmark", () => {
    const opening = watcher({}, ["part 1", "part 2"]);
    const marked = watcher();
    marked.bookmark("mark", "t1");
    now = 30_001;
    for (const open of [opening, marked]) open.endIfStalled(30_000);
    expect(closed).toBe(2);
  });

  it("not if nothing was there to take, however long; nor if it takes slowly", async () => {
    const idle = watcher();
    const reading = idle.next();
    const slow = watcher({}, ["1", "2", "3", "4"]);
    for (let i = 0; i < 4; i++) {
      now += 20_000;
      slow.endIfStalled(30_000);
      await read(slow, 1);
    }
    idle.endIfStalled(30_000);
    idle.push(commit(1, "a"));
    expect(await reading).toEqual({ done: false, value: "a1→t1" });
    idle.push(commit(2, "b"));
    idle.endIfStalled(30_000);
    expect(closed).toBe(0);
  });
});

describe("its end", () => {
  it("by the peer frees it at once, even while it waits", async () => {
    const open = watcher({}, ["part 1", "part 2"]);
    await read(open, 2);
    const waiting = open.next();
    expect(await open.return()).toEqual({ done: true, value: undefined });
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(closed).toBe(1);
    open.push(commit(1, "a"));
    open.bookmark("mark", "t1");
    open.end(new Error("too late"));
    await open.return();
    expect(await open.next()).toEqual({ done: true, value: undefined });
    expect(closed).toBe(1);
  });

  it("by the hub is told once, and nothing of what waited", async () => {
    const open = watcher({}, ["part 1", "part 2"]);
    open.push(commit(1, "a"));
    open.end(new Error("draining"));
    open.end(new Error("again"));
    open.push(commit(2, "b"));
    await expect(open.next()).rejects.toThrow("draining");
    expect(await open.next()).toEqual({ done: true, value: undefined });
    await open.return();
    expect(closed).toBe(1);
  });
});
