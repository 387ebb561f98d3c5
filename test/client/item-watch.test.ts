import { getEventListeners } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import { InvalidRequestError } from "../../src/client/failure.js";
import { ItemWatch } from "../../src/client/item-watch.js";
import { WatchCache } from "../../src/client/watch-cache.js";
import { logWatch } from "../../src/client/watch-log.js";
import { DOWNLOAD_CLIENTS } from "../../src/client/watch-topics.js";
import type { Watch, WatchEvent } from "../../src/client/watching.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import { eventually } from "../support/eventually.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import {
  bookmark,
  entry,
  FakeWatchServer,
  gone,
  put,
  type ResponseInit,
  snapshot,
} from "./fake-watch-server.js";

let directory: string;
let pulse: FakeWatchServer;
let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
let abort: AbortController;
let watches: Watch<DownloadClient>[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-watch-"));
  pulse = new FakeWatchServer();
  clock = new ManualClock();
  log = recordingLog();
  abort = new AbortController();
  watches = [];
});
afterEach(async () => {
  await Promise.all(watches.map((watch) => watch.close()));
  await rm(directory, { recursive: true, force: true });
});

function start(cached: "cached" | "uncached" = "uncached"): Watch<DownloadClient> {
  const random = seededRandom(7);
  const watch = new ItemWatch({
    topic: DOWNLOAD_CLIENTS,
    query: DOWNLOAD_CLIENTS.ask({}),
    dial: pulse.dial,
    endpoints: new Endpoints(["http://127.0.0.1:9696"]),
    cache:
      cached === "cached"
        ? new WatchCache({
            file: join(directory, "cache"),
            token: "t0ken",
            place: "here",
            clock,
            random,
            log,
          })
        : undefined,
    signal: abort.signal,
    clock,
    random,
    onNews: logWatch(log, "http://pulse:9696", "download clients"),
  });
  watches.push(watch);
  return watch;
}

/** Reads on and on; what came is kept in short. */
function read(watch: Watch<DownloadClient>) {
  const told: string[] = [];
  let end = "reads";
  void (async () => {
    try {
      for await (const event of watch) told.push(inShort(event));
      end = "over";
    } catch (error) {
      end = (error as Error).name;
    }
  })();
  return { told, end: () => end };
}

function inShort(event: WatchEvent<DownloadClient>): string {
  switch (event.type) {
    case "put": {
      const before = event.before ? ` was ${event.before.etag}` : "";
      return `put ${event.item.name}/${event.item.etag}${before}: ${event.reason} @${event.revision}`;
    }
    case "delete":
      return `delete ${event.item.name}: ${event.reason} @${event.revision}`;
    case "synced":
      return `synced @${event.revision}`;
    default:
      return event.type;
  }
}

const shown = (watch: Watch<DownloadClient>) =>
  watch
    .current()
    .items.map(({ name, etag }) => `${name}/${etag}`)
    .join(" ");
/** Time goes on until the watch is live. */
async function isLive(watch: Watch<DownloadClient>): Promise<void> {
  for (let s = 0; watch.current().state !== "live" && s < 70; s++) await clock.advance(1_000);
  expect(watch.current().state).toBe("live");
}

const away = () => new ConnectError("gone", Code.Unavailable);

describe("what is shown", () => {
  it("is loading, then live, then stale while Pulse is away, then live again", async () => {
    const watch = start();
    expect(watch.current()).toEqual({
      state: "loading",
      items: [],
      revision: 0n,
      error: undefined,
    });
    await settle();
    pulse.stream.send(snapshot(["b", "a"], 5));
    await settle();
    expect(shown(watch)).toBe("a/1 b/1");
    expect(watch.current()).toMatchObject({ state: "live", revision: 5n });
    const lostAt = clock.wallNow();
    pulse.mood = "away";
    pulse.stream.end(away());
    await clock.advance(60_000);
    expect(shown(watch)).toBe("a/1 b/1");
    expect(watch.current()).toMatchObject({
      state: "stale",
      sinceAt: lostAt,
      error: { rawMessage: "connection refused" },
    });
    pulse.mood = "well";
    pulse.greeting = () => [gone("a", 6), bookmark(7)];
    await isLive(watch);
    expect(watch.current()).toMatchObject({ state: "live", revision: 7n });
    expect(shown(watch)).toBe("b/1");
  });

  it("says why it is still loading, if an attempt has failed", async () => {
    pulse.mood = "away";
    const watch = start();
    await settle();
    expect(watch.current()).toMatchObject({ state: "loading", error: { code: Code.Unavailable } });
  });

  it("is never a part of a snapshot or of a commit", async () => {
    const watch = start();
    const { told } = read(watch);
    await settle();
    pulse.stream.send(snapshot(["a"], 5, { more: true }));
    await settle();
    expect([shown(watch), watch.current().state, told]).toEqual(["", "loading", []]);
    pulse.stream.send(snapshot(["b"], 5), put("a", 6, { token: "t5" }));
    await settle();
    expect([shown(watch), watch.current().revision]).toEqual(["a/1 b/1", 5n]);
    pulse.stream.send(put("b", 6));
    await settle();
    expect([shown(watch), watch.current().revision]).toEqual(["a/6 b/6", 6n]);
    expect(told.slice(-3)).toEqual([
      "synced @5",
      "put a/6 was 1: registered @6",
      "put b/6 was 1: registered @6",
    ]);
  });

  it("is the same object until it changes", async () => {
    pulse.greeting = () => [snapshot(["a"], 5)];
    const watch = start();
    await settle();
    const view = watch.current();
    expect(watch.current()).toBe(view);
    pulse.stream.send(bookmark(6));
    await settle();
    expect(watch.current()).toMatchObject({ revision: 6n });
    expect(view.revision).toBe(5n);
  });
});

describe("the events", () => {
  it("tell each change, each loss once, and when all is well again", async () => {
    pulse.greeting = () => [snapshot(["a"], 5)];
    const watch = start();
    const { told } = read(watch);
    await settle();
    pulse.stream.send(put("a", 6, { reason: "edited by admin" }), put("b", 7), gone("a", 8));
    await settle();
    pulse.mood = "away";
    pulse.stream.end(away());
    await clock.advance(60_000);
    pulse.mood = "well";
    pulse.greeting = () => [snapshot([entry("b", "7"), "c"], 12)];
    await isLive(watch);
    expect(told).toEqual([
      "put a/1: snapshot @5",
      "synced @5",
      "put a/6 was 1: edited by admin @6",
      "put b/7: registered @7",
      "delete a: deregistered @8",
      "stale",
      "put c/1: snapshot @12",
      "synced @12",
    ]);
    expect(
      log.lines.map(({ level, fields }) => [level, (fields as { event: string }).event]),
    ).toEqual([
      ["info", "synced"],
      ["warn", "stale"],
      ["info", "synced"],
    ]);
  });

  it("say that Pulse cannot be reached at the start, too", async () => {
    pulse.mood = "away";
    const { told } = read(start());
    await clock.advance(60_000);
    expect(told).toEqual(["stale"]);
  });

  it("say the next loss too, once all was well", async () => {
    pulse.greeting = () => [snapshot(["a"], 5)];
    const watch = start();
    const { told } = read(watch);
    await settle();
    for (let i = 0; i < 2; i++) {
      pulse.stream.end(away());
      await settle();
      await isLive(watch);
    }
    expect(told.slice(1)).toEqual(["synced @5", "stale", "synced @5", "stale", "synced @5"]);
  });

  it("say once that Pulse does not know the newest itself, and when it does again", async () => {
    const watch = start();
    const { told } = read(watch);
    await settle();
    pulse.stream.send({ ...snapshot(["a"], 5), stale: true }, { ...bookmark(5), stale: true });
    await settle();
    expect(watch.current()).toMatchObject({ state: "stale", revision: 5n });
    expect(shown(watch)).toBe("a/1");
    expect(told).toEqual(["put a/1: snapshot @5", "stale"]);
    pulse.stream.send(put("b", 6), bookmark(6));
    await settle();
    expect(watch.current()).toMatchObject({ state: "live", revision: 6n });
    pulse.stream.send({ ...bookmark(6), stale: true });
    await settle();
    expect(told.slice(2)).toEqual(["put b/6: registered @6", "synced @6", "stale"]);
    expect(pulse.requests).toHaveLength(1);
  });

  it("say each refusal once, and no loss after it", async () => {
    pulse.greeting = () => [snapshot(["a"], 5)];
    const watch = start();
    const { told } = read(watch);
    await settle();
    pulse.mood = new ConnectError("revoked", Code.Unauthenticated);
    pulse.stream.end(pulse.mood);
    await clock.advance(200_000);
    expect(watch.current()).toMatchObject({ state: "stale", error: { rawMessage: "revoked" } });
    pulse.mood = "away";
    await clock.advance(70_000);
    pulse.mood = new ConnectError("no scope", Code.PermissionDenied);
    await clock.advance(80_000);
    pulse.mood = "well";
    pulse.greeting = () => [bookmark(5)];
    await isLive(watch);
    expect(told).toEqual([
      "put a/1: snapshot @5",
      "synced @5",
      "rejected",
      "rejected",
      "synced @5",
    ]);
    expect(shown(watch)).toBe("a/1"); // whoever is refused keeps what he knew
  });

  it("are for each reader its own, from what is known on", async () => {
    pulse.greeting = () => [snapshot(["a", "b"], 5), put("a", 6)];
    const watch = start();
    const first = read(watch);
    await settle();
    const second = read(watch);
    await settle();
    pulse.stream.send(gone("b", 7));
    await settle();
    expect(first.told).toEqual([
      "put a/1: snapshot @5",
      "put b/1: snapshot @5",
      "synced @5",
      "put a/6 was 1: registered @6",
      "delete b: deregistered @7",
    ]);
    expect(second.told).toEqual([
      "put b/1: snapshot @5",
      "put a/6: registered @6",
      "synced @6",
      "delete b: deregistered @7",
    ]);
  });

  it("that wait for a reader are no more than there are items", async () => {
    pulse.greeting = () => [snapshot(["a"], 1)];
    const watch = start();
    const reader = watch[Symbol.asyncIterator]();
    await settle();
    for (let revision = 2; revision < 500; revision += 2)
      pulse.stream.send(
        put("a", revision),
        put("brief", revision + 1),
        gone("brief", revision + 1),
      );
    await settle(50);
    const told: string[] = [];
    for (let i = 0; i < 2; i++) told.push(inShort((await reader.next()).value));
    expect(told).toEqual(["synced @1", "put a/498: registered @498"]);
    await reader.return?.();
    expect((await reader.next()).done).toBe(true);
    expect(watch.current().state).toBe("live"); // a reader that leaves ends no watch
  });
});

/** Of a Pulse that was wiped, or restored from a backup. */
const anew = (names: string[], revision: number) =>
  snapshot(names, revision, {
    token: `n${revision}`,
    reason: SnapshotReason.OTHER_HISTORY,
  });

describe("after Pulse has lost its history", () => {
  let backAt = 0;

  /** Pulse is in step, is lost, and comes back with this. */
  async function comesBackWith(watch: Watch<DownloadClient>, ...said: ResponseInit[]) {
    await eventually(() => expect(pulse.streams.size).toBe(1)); // it may read its file first
    pulse.stream.send(snapshot(["a", "b"], 50));
    await eventually(() => expect(watch.current().state).toBe("live"));
    await returnWith(said);
  }

  async function returnWith(said: ResponseInit[]): Promise<void> {
    pulse.greeting = () => {
      backAt = clock.wallNow();
      return said;
    };
    pulse.stream.end(away());
    await eventually(async () => {
      await clock.advance(100);
      expect(pulse.streams.size).toBe(1);
    });
    await settle();
  }

  /** Pulse says something every 5 s, as it does. */
  async function goesOn(ms: number, revision = 9): Promise<void> {
    for (let passed = 0; passed < ms; passed += 5_000) {
      await clock.advance(5_000);
      pulse.stream.send(bookmark(revision, `n${revision}`));
      await settle();
    }
  }

  it("what it does not know any more is kept for 30 s, and deleted if it is not back by then", async () => {
    const watch = start();
    const { told } = read(watch);
    await comesBackWith(watch, anew([], 2));
    const until = new Date(backAt + 30_000).toISOString();
    expect([shown(watch), watch.current().state]).toEqual(["a/1 b/1", "stale"]);
    expect(watch.current()).toMatchObject({
      error: {
        message: `Pulse has lost its history, or a part of it: of the download clients known before, 2 not back yet, kept until ${until}`,
      },
    });
    await clock.advance(1_000);
    pulse.stream.send(put("a", 3, { token: "n3" }), put("new", 4, { token: "n4" }));
    await settle();
    expect(shown(watch)).toBe("a/3 b/1 new/4");
    expect(watch.current()).toMatchObject({
      error: { message: expect.stringContaining(`1 not back yet, kept until ${until}`) },
    });
    await goesOn(25_000);
    expect([shown(watch), watch.current().state]).toEqual(["a/3 b/1 new/4", "stale"]);
    await goesOn(5_000);
    expect(shown(watch)).toBe("a/3 new/4");
    expect(watch.current()).toMatchObject({ state: "live", revision: 9n });
    expect(told.slice(2)).toEqual([
      "synced @50",
      "stale", // away
      "stale", // without its history
      "put a/3 was 1: registered @3",
      "put new/4: registered @4",
      "delete b: not in the snapshot @9",
      "synced @9",
    ]);
    await watch.close();
    expect(clock.pending).toBe(0);
  });

  it("nothing is deleted, and all is well at once, if everything has come back", async () => {
    const watch = start();
    const { told } = read(watch);
    await comesBackWith(watch, anew(["a"], 2));
    pulse.stream.send(put("b", 3, { etag: "1", token: "n3" }));
    await settle();
    expect(watch.current()).toMatchObject({ state: "live", revision: 3n });
    await goesOn(60_000);
    expect(shown(watch)).toBe("a/1 b/1");
    expect(told.filter((line) => line.startsWith("delete"))).toEqual([]);
  });

  it("a tombstone counts at once", async () => {
    const watch = start();
    await comesBackWith(watch, anew([], 2));
    pulse.stream.send(gone("a", 3, { token: "n3" }));
    await settle();
    expect(shown(watch)).toBe("b/1");
  });

  it("and lost it again, the time goes on, and begins no second time", async () => {
    const watch = start();
    await comesBackWith(watch, anew([], 2));
    await goesOn(20_000);
    await returnWith([anew([], 1)]);
    expect(shown(watch)).toBe("a/1 b/1");
    await goesOn(10_000);
    expect([shown(watch), watch.current().state]).toEqual(["", "live"]);
  });

  it("the time that it is away again does not count, nor is the return taken for the end of it", async () => {
    const watch = start();
    const { told } = read(watch);
    await comesBackWith(watch, anew([], 2));
    await goesOn(5_000);
    pulse.mood = "away";
    pulse.stream.end(away());
    await clock.advance(120_000);
    expect(watch.current()).toMatchObject({ state: "stale", error: { code: Code.Unavailable } });
    pulse.mood = "well";
    pulse.greeting = () => [bookmark(2, "n2")];
    for (let s = 0; pulse.streams.size === 0 && s < 20; s++) await clock.advance(1_000);
    await settle();
    expect(shown(watch)).toBe("a/1 b/1");
    expect(watch.current()).toMatchObject({
      error: { message: expect.stringContaining("2 not back yet") },
    });
    await goesOn(20_000);
    expect(shown(watch)).toBe("a/1 b/1");
    await goesOn(5_000);
    expect([shown(watch), watch.current().state]).toEqual(["", "live"]);
    expect(told.filter((line) => line === "stale")).toHaveLength(2);
  });

  it("time in which it cannot reach its database does not count: nobody can register then", async () => {
    const watch = start();
    await comesBackWith(watch, { ...anew([], 2), stale: true });
    for (let i = 0; i < 12; i++) {
      await clock.advance(5_000);
      pulse.stream.send({ ...bookmark(2, "n2"), stale: true });
    }
    await settle();
    expect(shown(watch)).toBe("a/1 b/1");
    await goesOn(5_000 + 25_000);
    expect(shown(watch)).toBe("a/1 b/1");
    await goesOn(5_000);
    expect(shown(watch)).toBe("");
  });

  it("a watcher that stood still hears first what came back meanwhile", async () => {
    const watch = start();
    const { told } = read(watch);
    await comesBackWith(watch, anew([], 2));
    await goesOn(25_000);
    clock.stall(600_000);
    pulse.stream.send(bookmark(9, "n9"), put("a", 10, { token: "n10" }), bookmark(11, "n11"));
    await settle();
    expect(shown(watch)).toBe("a/10 b/1");
    await goesOn(5_000, 12);
    expect(shown(watch)).toBe("a/10");
    expect(told.filter((line) => line.startsWith("delete"))).toEqual([
      "delete b: not in the snapshot @12",
    ]);
  });

  it("a refusal meanwhile is said, and then again what is the matter", async () => {
    const watch = start();
    const { told } = read(watch);
    await comesBackWith(watch, anew([], 2));
    pulse.mood = new ConnectError("revoked", Code.Unauthenticated);
    pulse.stream.end(pulse.mood);
    await clock.advance(10_000);
    pulse.mood = "well";
    pulse.greeting = () => [bookmark(2, "n2")];
    for (let s = 0; pulse.streams.size === 0 && s < 60; s++) await clock.advance(1_000);
    await settle();
    expect(told.slice(-3)).toEqual(["stale", "rejected", "stale"]);
  });

  it("readers that come later are told what is kept, and that it is stale", async () => {
    const watch = start();
    await comesBackWith(watch, anew(["a"], 2));
    const { told } = read(watch);
    await settle();
    expect(told).toEqual(["put a/1: snapshot @50", "put b/1: snapshot @50", "stale"]);
  });

  describe("the file", () => {
    it("stays of the old history until the new state is whole, so that a restart keeps as well", async () => {
      const first = start("cached");
      await comesBackWith(first, anew(["a"], 2));
      await goesOn(10_000);
      pulse.stream.send(put("new", 10, { token: "n10" }));
      await goesOn(5_000, 10);
      await first.close();

      pulse.greeting = undefined;
      pulse.requests.length = 0;
      const second = start("cached");
      const { told } = read(second);
      await eventually(() => expect(pulse.streams.size).toBe(1));
      expect(shown(second)).toBe("a/1 b/1");
      expect(pulse.requests.map(({ resumeToken }) => resumeToken)).toEqual(["t50"]);
      pulse.stream.send(anew(["a", "new"], 10));
      await settle();
      expect([shown(second), second.current().state]).toEqual(["a/1 b/1 new/1", "stale"]);
      await goesOn(30_000, 11);
      expect([shown(second), second.current().state]).toEqual(["a/1 new/1", "live"]);
      expect(told.slice(-2)).toEqual(["delete b: not in the snapshot @11", "synced @11"]);
      await second.close();

      pulse.mood = "away";
      pulse.requests.length = 0;
      const third = start("cached");
      await eventually(() => expect(shown(third)).toBe("a/1 new/1"));
      await eventually(() => expect(pulse.requests[0]?.resumeToken).toBe("n11"));
    });

    it("is not written by what was to be written when the history was lost", async () => {
      const watch = start("cached");
      await eventually(() => expect(pulse.streams.size).toBe(1));
      pulse.stream.send(snapshot(["a", "b"], 50));
      await eventually(async () => {
        await clock.advance(1_000);
        pulse.stream.send(bookmark(50)); // nothing new
        await readFile(join(directory, "cache"));
      });
      await settle(20);
      const before = await readFile(join(directory, "cache"), "utf8");
      pulse.stream.send(put("c", 51), anew(["a"], 2)); // and no time between them
      await settle();
      await watch.close();
      expect(await readFile(join(directory, "cache"), "utf8")).toBe(before);
    });

    it("is written once the new state is whole, though nothing else is new then", async () => {
      const first = start("cached");
      await comesBackWith(first, anew(["a"], 9));
      await goesOn(30_000, 9);
      expect(shown(first)).toBe("a/1");
      await first.close();
      pulse.mood = "away";
      const second = start("cached");
      await eventually(() => expect(shown(second)).toBe("a/1"));
    });
  });
});

describe("the end", () => {
  it.each(["close", "signal"] as const)(
    "by %s leaves no timer, stream or connection, and ends every iteration",
    async (how) => {
      pulse.greeting = () => [snapshot(["a"], 5)];
      const watch = start("cached");
      const reader = read(watch);
      await eventually(() => expect(shown(watch)).toBe("a/1"));
      if (how === "close") await watch.close();
      else abort.abort();
      await watch.close();
      await settle();
      expect(reader.end()).toBe("over");
      expect([clock.pending, pulse.streams.size]).toEqual([0, 0]);
      expect([pulse.dials, pulse.closed]).toEqual([1, 1]);
      expect(getEventListeners(abort.signal, "abort")).toEqual([]);
      expect(watch.current()).toMatchObject({ state: "closed", error: undefined });
      expect(shown(watch)).toBe("a/1");
      const late = read(watch);
      await settle();
      expect([late.end(), late.told]).toEqual(["over", []]);
    },
  );

  it("is there from the beginning if the signal was aborted before", async () => {
    abort.abort();
    const watch = start("cached");
    expect(watch.current().state).toBe("closed");
    await watch.close();
    expect([clock.pending, pulse.dials]).toEqual([0, 0]);
  });

  it("comes by an invalid request: what came is told, then the error is thrown, once each", async () => {
    pulse.mood = new ConnectError("kinds: is bad", Code.InvalidArgument);
    const watch = start();
    const early = read(watch);
    await settle();
    const late = read(watch);
    await settle();
    expect([early.end(), late.end()]).toEqual(["InvalidRequestError", "InvalidRequestError"]);
    const { state, ...rest } = watch.current();
    expect(state).toBe("closed");
    expect("error" in rest && rest.error).toBeInstanceOf(InvalidRequestError);
    expect([clock.pending, pulse.closed]).toEqual([0, 1]);
    expect(log.lines).toMatchObject([{ level: "error" }]);
    await watch.close();
  });

  it("is not brought about by a log that throws", async () => {
    pulse.greeting = () => [snapshot(["a"], 5)];
    log.info = () => {
      throw new Error("disk full");
    };
    const watch = start();
    await settle();
    expect(watch.current().state).toBe("live");
  });
});

describe("the last known good", () => {
  /** A first watch leaves a file, with revision 6 in it. */
  async function leaveFile(): Promise<void> {
    pulse.greeting = () => [snapshot(["a", "b"], 5), put("a", 6)];
    const watch = start("cached");
    await eventually(() => expect(watch.current().revision).toBe(6n));
    await watch.close();
    pulse.greeting = undefined;
    pulse.requests.length = 0;
    log.lines.length = 0;
  }

  it("is shown as stale while Pulse is away, and told to readers", async () => {
    await leaveFile();
    pulse.mood = "away";
    const watch = start("cached");
    const { told } = read(watch);
    await eventually(() => expect(shown(watch)).toBe("a/6 b/1"));
    await clock.advance(60_000);
    expect(watch.current()).toMatchObject({
      state: "stale",
      revision: 6n,
      error: { rawMessage: "connection refused" },
    });
    expect(told).toEqual(["put a/6: snapshot @6", "put b/1: snapshot @6", "stale", "stale"]);
    expect(log.lines.map(({ level, msg }) => `${level} ${msg}`)).toEqual([
      "info beginning with the last known good",
      expect.stringMatching(/^warn the download clients of Pulse may be out of date/),
    ]);
  });

  it("is where the stream resumes: only what changed since is told", async () => {
    await leaveFile();
    pulse.greeting = () => [gone("b", 9), bookmark(9)];
    const watch = start("cached");
    const { told } = read(watch);
    await eventually(() => expect(watch.current().state).toBe("live"));
    expect(pulse.requests.map(({ resumeToken }) => resumeToken)).toEqual(["t6"]);
    await settle();
    expect(told).toEqual([
      "put a/6: snapshot @6",
      "put b/1: snapshot @6",
      "stale",
      "delete b: deregistered @9",
      "synced @9",
    ]);
  });

  it("never holds a part of a snapshot or of a commit", async () => {
    await leaveFile();
    pulse.greeting = () => [snapshot(["z"], 9, { more: true })];
    const watch = start("cached");
    await eventually(() => expect(pulse.streams.size).toBe(1));
    await clock.advance(5_000);
    await watch.close();
    pulse.mood = "away";
    const next = start("cached");
    await eventually(() => expect(shown(next)).toBe("a/6 b/1"));
  });

  it("is written as things change, and shows no secret", async () => {
    pulse.greeting = () => [snapshot(["a"], 5)];
    start("cached");
    const text = await eventually(async () => {
      await clock.advance(1_000);
      pulse.stream.send(bookmark(5)); // nothing new
      return readFile(join(directory, "cache"), "utf8");
    });
    expect(text).not.toMatch(/pw-of-a|t0ken/);
    expect(JSON.stringify(log.lines)).not.toMatch(/pw-of-a|t0ken/);
  });
});
