import { describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { writeResumeToken } from "../../src/pulse/resume-token.js";
import { TICKS_PER_INTERVAL } from "../../src/pulse/watch-hub.js";
import { ToyHub } from "./toy-topic.js";

const tokenAt = (revision: bigint, stamp = `stamp-${revision}`, epoch = "epoch-1") =>
  writeResumeToken({ epoch, revision, stamp });
const refusalOf = (error: unknown) => (error instanceof DomainError ? error.refusal : error);

describe("a watch without a token", () => {
  it("begins at once with what there is, be it nothing, and goes on with each change", async () => {
    const toys = new ToyHub();
    const early = toys.watch();
    toys.commit("red a");
    const late = toys.watch();
    toys.commit("blue b");
    expect(await early.read()).toEqual([
      "first [] @0",
      "put red a (registered) @1",
      "put blue b (registered) @2",
    ]);
    expect(await late.read()).toEqual(["first [red a] @1", "put blue b (registered) @2"]);
    toys.commit("- a");
    expect(await late.read()).toEqual(["delete a (registered) @3"]);
    expect(late.token).toBe(tokenAt(3n));
  });

  it("hears nothing of commits that are about something else, but of them by the next bookmark", async () => {
    const toys = new ToyHub();
    const open = toys.watch();
    toys.commit("? x");
    expect(await open.read()).toEqual(["first [] @0"]);
    toys.interval();
    expect(await open.read()).toEqual(["bookmark @1"]);
    expect(open.token).toBe(tokenAt(1n));
  });
});

describe("a filter", () => {
  it("makes a PUT of what enters it, a DELETE of what leaves it, and nothing of the rest", async () => {
    const toys = new ToyHub();
    toys.commit("red a", "blue b");
    const red = toys.watch("red");
    const seen = await red.read();
    for (const change of [
      "blue a", // leaves
      "green b", // was never there
      "red b", // enters
      "red b", // stays
      "- a", // has left before
      "- b",
    ]) {
      toys.commit(change);
      seen.push(...(await red.read()));
    }
    expect(seen).toEqual([
      "first [red a] @1",
      "delete a (registered) @2",
      "put red b (registered) @4",
      "put red b (registered) @5",
      "delete b (registered) @7",
    ]);
  });

  it("leaves a commit whole: its token comes with the last change that the filter lets pass", async () => {
    const toys = new ToyHub();
    const red = toys.watch("red");
    toys.commit("red a", "red b", "blue c");
    await red.read(2);
    expect(red.token).toBe(tokenAt(0n, ""));
    expect(await red.read()).toEqual(["put red b (registered) @1"]);
    expect(red.token).toBe(tokenAt(1n));
  });
});

describe("watchers with the same filter and the same rights", () => {
  it("get the very same responses, made once; others get their own", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    const equals = [toys.watch("red"), toys.watch("red"), toys.watch("red")];
    expect(toys.topic.made).toBe(1);
    toys.commit("red b");
    expect(toys.topic.made).toBe(2);
    for (const open of equals) await open.read();
    const [first, ...others] = equals;
    for (const { responses } of others)
      responses.forEach((response, i) => void expect(response).toBe(first?.responses[i]));

    const all = toys.watch();
    const trusted = toys.watch("red", { withCredentials: true });
    expect(await all.read()).toEqual(["first [red a red b] @2"]);
    expect(await trusted.read()).toEqual(["first [red a with key red b with key] @2"]);
    toys.commit("red c");
    expect(await trusted.read()).toEqual(["put red c with key (registered) @3"]);
    expect(await first?.read()).toEqual(["put red c (registered) @3"]);
  });

  it("share a snapshot while nothing changes, and get a new one after", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    const one = toys.watch();
    toys.interval(); // forgets what is kept for nobody
    const two = toys.watch();
    const three = toys.watch();
    toys.commit("? x"); // another token
    const four = toys.watch();
    toys.commit("red b");
    const five = toys.watch();
    for (const open of [one, two, three, four, five]) await open.read(1);
    expect(three.responses[0]).toBe(two.responses[0]);
    expect(one.responses[0]).toEqual(two.responses[0]);
    expect(one.responses[0]).not.toBe(two.responses[0]);
    expect(four.responses[0]).toEqual({ text: "first [red a] @2", token: tokenAt(2n) });
    expect(five.responses[0]?.text).toBe("first [red a red b] @3");
  });
});

describe("a watch with a token", () => {
  it("gets each item that changed once, in the order of its newest change, and a bookmark", async () => {
    const toys = new ToyHub();
    toys.commit("red a", "red b", "red c");
    const token = tokenAt(1n);
    toys.commit("blue a");
    toys.commit("blue b");
    toys.commit("green a");
    toys.commit("- c");
    toys.commit("? x");
    const open = toys.watch("", { token });
    expect(await open.read()).toEqual([
      "put blue b (registered) @3",
      "put green a (registered) @4",
      "delete c (registered) @5",
      "bookmark @6",
    ]);
    expect(open.responses.map((response) => response.token)).toEqual([
      token,
      token,
      tokenAt(6n),
      tokenAt(6n),
    ]);
    toys.commit("red d");
    expect(await open.read()).toEqual(["put red d (registered) @7"]);
  });

  it("gets the very responses that others with that token get, until something changes", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    const token = tokenAt(1n);
    toys.commit("red b");
    toys.topic.made = 0;
    const open = [toys.watch("", { token }), toys.watch("", { token })];
    expect(toys.topic.made).toBe(1);
    for (const each of open) await each.read();
    expect(open[1]?.responses[0]).toBe(open[0]?.responses[0]);
    toys.commit("red c");
    const late = toys.watch("", { token });
    expect(await late.read()).toEqual([
      "put red b (registered) @2",
      "put red c (registered) @3",
      "bookmark @3",
    ]);
  });

  it("that names the newest commit gets a bookmark alone", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    expect(await toys.watch("", { token: tokenAt(1n) }).read()).toEqual(["bookmark @1"]);
  });

  it("gets the DELETE of what has left its filter meanwhile, and none of what it cannot have had", async () => {
    const toys = new ToyHub();
    toys.commit("red a", "blue b", "red c");
    const token = tokenAt(1n);
    toys.commit("blue a");
    toys.commit("green b", "blue d");
    toys.commit("- b", "- d");
    toys.commit("blue c");
    toys.commit("red c");
    expect(await toys.watch("red", { token }).read()).toEqual([
      "delete a (registered) @2",
      "put red c (registered) @6",
      "bookmark @6",
    ]);
  });

  it("gets the DELETE of what it may have been sent after its token, while that stood still", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    const slow = toys.watch("red");
    toys.commit("red a");
    toys.commit("red b");
    toys.commit("red a"); // in the place of commit 2: the token stands still
    expect(await slow.read(2)).toEqual(["first [red a] @1", "put red b (registered) @3"]);
    expect(slow.token).toBe(tokenAt(1n));
    await slow.watcher.return();
    toys.commit("- b");
    expect(await toys.watch("red", { token: slow.token }).read()).toEqual([
      "put red a (registered) @4",
      "delete b (registered) @5",
      "bookmark @5",
    ]);
  });

  it("gets the DELETE of what it was sent in a resume that broke off", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    const token = tokenAt(1n);
    toys.commit("red b");
    toys.commit("red c");
    const broken = toys.watch("", { token });
    expect(await broken.read(1)).toEqual(["put red b (registered) @2"]);
    toys.commit("- b");
    expect(await toys.watch("", { token: broken.token }).read()).toEqual([
      "put red c (registered) @3",
      "delete b (registered) @4",
      "bookmark @4",
    ]);
  });

  it.each([
    ["compacted", tokenAt(2n)],
    ["future", tokenAt(9n)],
    ["other-history", tokenAt(5n, "another")],
    ["other-history", tokenAt(5n, "stamp-5", "epoch-2")],
  ])("that is %s gets a snapshot which says so, on the same stream", async (cause, token) => {
    const toys = new ToyHub({}, 2);
    for (const id of ["a", "b", "c", "d", "e"]) toys.commit(`red ${id}`);
    toys.commit("- a");
    toys.history.prune(0);
    const open = toys.watch("", { token });
    expect(await open.read()).toEqual([`${cause} [red b red c red d red e] @6`]);
    toys.commit("red f");
    expect(await open.read()).toEqual(["put red f (registered) @7"]);
  });

  it("that is none is refused, and nothing is left of the watch", () => {
    const toys = new ToyHub();
    expect(() => toys.watch("", { token: "nonsense" })).toThrow(/^resume_token: must be/);
    expect(toys.hub.size).toBe(0);
  });
});

describe("a hub", () => {
  it("refuses more watchers than it may have, until one of them is gone", async () => {
    const toys = new ToyHub({ maxWatchers: 2 });
    const one = toys.watch();
    toys.watch("red");
    expect(() => toys.watch()).toThrow("at most 2 watchers");
    await one.watcher.return();
    expect(toys.hub.size).toBe(1);
    toys.watch();
    expect(() => toys.watch()).toThrow(DomainError);
  });

  it("bears with a watcher while a whole fleet comes back at once", async () => {
    const toys = new ToyHub();
    toys.topic.size = 1_500; // that of a usual entry with its service
    const open = toys.watch();
    for (let n = 0; n < 5_000; n++) toys.commit(`red ${n}`);
    expect(toys.hub.size).toBe(1);
    expect(await open.read()).toHaveLength(5_001);
    for (let n = 0; n < 15_000; n++) toys.commit(`blue ${n}`);
    expect(toys.hub.size).toBe(0); // but not with any number
  });

  it("does nothing for a view that has no watchers any more", async () => {
    const toys = new ToyHub({ maxWaiting: 1 });
    const left = toys.watch("red");
    const slow = toys.watch("blue");
    await left.watcher.return();
    toys.commit("blue a", "blue b"); // too much for it
    expect(refusalOf(await slow.end())).toEqual({ kind: "lagging" });
    expect(toys.log.lines).toMatchObject([
      { level: "warn", msg: "watch.lagging", fields: { topic: "service" } },
    ]);
    expect(toys.hub.size).toBe(0);
    toys.topic.made = 0;
    toys.commit("red a", "blue c");
    expect(toys.topic.made).toBe(0);
  });

  it("tells each watcher something in each interval, but not those for whom something waits", async () => {
    const toys = new ToyHub();
    const idle = toys.watch();
    const busy = toys.watch();
    await idle.read();
    toys.interval();
    expect(await idle.read()).toEqual(["bookmark @0"]);
    expect(await busy.read()).toEqual(["first [] @0"]);
    expect(idle.responses[1]?.token).toBe(tokenAt(0n, ""));
  });

  it("spreads the bookmarks of many watchers over the interval", async () => {
    const toys = new ToyHub();
    const open = Array.from({ length: 3 * TICKS_PER_INTERVAL }, () => toys.watch());
    for (const each of open) await each.read();
    for (let tick = 1; tick <= TICKS_PER_INTERVAL; tick++) {
      toys.hub.tick();
      let count = 0;
      for (const each of open) count += (await each.read()).length;
      expect(count).toBe(3);
    }
    for (const each of open) expect(each.responses).toHaveLength(2);
  });

  it("cuts off who takes nothing for too long, and no other", async () => {
    const toys = new ToyHub({ stallMs: 30_000 });
    const stalled = toys.watch();
    const well = toys.watch();
    for (let i = 0; i < 8; i++) {
      await well.read();
      toys.interval();
      toys.now += 5_000;
    }
    expect(refusalOf(await stalled.end())).toEqual({ kind: "lagging" });
    expect(await well.read()).toEqual(["bookmark @0"]);
    expect(toys.hub.size).toBe(1);
  });

  it("ends the watches of one bearer token, or all", async () => {
    const toys = new ToyHub();
    const mine = toys.watch("", { tokenId: "mine" });
    const yours = toys.watch("", { tokenId: "yours" });
    toys.hub.end(new Error("revoked"), (tokenId) => tokenId === "mine");
    expect(await mine.end()).toEqual(new Error("revoked"));
    expect(await yours.read()).toEqual(["first [] @0"]);
    toys.hub.end(new Error("draining"));
    expect(await yours.end()).toEqual(new Error("draining"));
    expect(toys.hub.size).toBe(0);
  });
});

describe("a message that cannot be made", () => {
  const bug = new TypeError("a bug");
  function brokenFor(toys: ToyHub, broken: boolean): void {
    toys.topic.check = (id, withCredentials) => {
      if (id === "broken" && withCredentials === broken) throw bug;
    };
  }

  it("ends the watchers who would miss it, so that they resume, and nobody else", async () => {
    const toys = new ToyHub();
    const trusted = toys.watch("", { withCredentials: true });
    const red = toys.watch("red", { withCredentials: true });
    const others = toys.watch();
    brokenFor(toys, true);
    toys.commit("red fine", "blue broken");
    expect(await trusted.end()).toBe(bug);
    expect(await others.read()).toHaveLength(3);
    expect(await red.read()).toEqual(["first [] @0", "put red fine with key (registered) @1"]);
    expect(toys.hub.size).toBe(2);
  });

  it("fails a new watch, and leaves nothing behind that would be worked for", () => {
    const toys = new ToyHub();
    brokenFor(toys, false);
    toys.commit("red broken");
    expect(() => toys.watch()).toThrow(bug);
    expect(() => toys.watch("", { token: tokenAt(0n, "") })).toThrow(bug);
    expect(toys.hub.size).toBe(0);
    toys.topic.made = 0;
    toys.commit("red fine");
    expect(toys.topic.made).toBe(0);
  });
});

describe("a hub that may be behind", () => {
  it("says so in snapshots and bookmarks, and no more once it is not", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    const before = toys.watch();
    toys.isStale = true;
    const stale = toys.watch();
    toys.interval();
    toys.isStale = false;
    const after = toys.watch();
    expect(await before.read()).toEqual(["first [red a] @1"]); // a bookmark beside what waits says nothing
    expect(await stale.read()).toEqual(["first [red a] @1, stale"]);
    expect(await after.read()).toEqual(["first [red a] @1"]);
    toys.isStale = true;
    toys.interval();
    expect(await after.read()).toEqual(["bookmark @1, stale"]);
    toys.isStale = false;
    toys.interval();
    expect(await after.read()).toEqual(["bookmark @1"]);
  });

  it("never takes a watcher back in time: one that knows a later commit is refused", () => {
    const toys = new ToyHub();
    toys.commit("red a");
    toys.isStale = true;
    const watch = () => toys.watch("", { token: tokenAt(2n) });
    expect(watch).toThrow(DomainError);
    try {
      watch();
    } catch (error) {
      expect(refusalOf(error)).toMatchObject({ kind: "store-unavailable" });
    }
    expect(toys.hub.size).toBe(0);
    toys.isStale = false;
    expect(watch).not.toThrow();
  });

  it("lets others resume that know no more than it does", async () => {
    const toys = new ToyHub();
    toys.commit("red a");
    toys.isStale = true;
    expect(await toys.watch("", { token: tokenAt(1n) }).read()).toEqual(["bookmark @1, stale"]);
  });
});
