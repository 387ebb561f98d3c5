import { setMaxListeners } from "node:events";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import { InvalidRequestError } from "../../src/client/failure.js";
import { type FollowOptions, followStream } from "../../src/client/watch-stream.js";
import { DOWNLOAD_CLIENTS } from "../../src/client/watch-topics.js";
import type { StreamItem } from "../../src/client/watching.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";
import { bookmark, FakeWatchServer, put, snapshot } from "./fake-watch-server.js";

let pulse: FakeWatchServer;
let clock: ManualClock;
let watch: AbortController;
let items: StreamItem<WatchDownloadClientsResponse>[];
let endpoints: FollowOptions<unknown>["endpoints"];
let end: "runs" | "ended" | Error;
beforeEach(() => {
  pulse = new FakeWatchServer();
  clock = new ManualClock();
  watch = new AbortController();
  items = [];
  endpoints = new Endpoints(["http://127.0.0.1:9696"]);
  end = "runs";
});

async function follow(resumeToken = "", random = seededRandom(7)): Promise<void> {
  void (async () => {
    try {
      for await (const item of followStream({
        dial: pulse.dial,
        endpoints,
        query: DOWNLOAD_CLIENTS.ask({ kinds: ["qbittorrent"] }),
        read: (response) => DOWNLOAD_CLIENTS.read(response),
        resumeToken,
        signal: watch.signal,
        clock,
        random,
      }))
        items.push(item);
      end = "ended";
    } catch (error) {
      end = error as Error;
    }
  })();
  await settle();
}

const types = () => items.map(({ type }) => type);
const tokens = () => pulse.requests.map(({ resumeToken }) => resumeToken);
const failed = () => items.flatMap((item) => (item.type === "response" ? [] : [item]));
const invalid = (field: string) =>
  new ConnectError("bad", Code.InvalidArgument, undefined, [
    {
      desc: BadRequestSchema,
      value: create(BadRequestSchema, { fieldViolations: [{ field, description: "is bad" }] }),
    },
  ]);

describe("a stream", () => {
  it("asks with the filter, and gives each response as it came", async () => {
    await follow();
    expect(pulse.requests).toMatchObject([{ kinds: ["qbittorrent"], resumeToken: "" }]);
    pulse.stream.send(snapshot(["a"], 5), put("b", 6), bookmark(7));
    await settle();
    expect(
      items.map(
        (item) => item.type === "response" && [item.response.event.case, item.response.revision],
      ),
    ).toEqual([
      ["snapshot", 5n],
      ["change", 6n],
      ["bookmark", 7n],
    ]);
  });

  it("begins with the token that it is given", async () => {
    await follow("t3");
    expect(tokens()).toEqual(["t3"]);
  });

  it("that was lost goes on from the newest token that was not empty", async () => {
    await follow();
    pulse.stream.send(snapshot(["a"], 5), put("b", 6), put("c", 7, { token: "" }));
    await settle();
    pulse.stream.end(new ConnectError("gone", Code.Unavailable));
    await settle();
    expect(failed()).toMatchObject([
      { type: "interrupted", attempt: 1, error: { rawMessage: "gone" } },
    ]);
    await clock.advance(500);
    expect(tokens()).toEqual(["", "t6"]);
    expect(pulse.dials).toBe(1);
  });

  it("keeps no token of a snapshot whose last part has not come", async () => {
    await follow("t3");
    pulse.stream.send(snapshot(["a"], 5, { more: true, token: "t5" }), bookmark(6));
    await settle();
    pulse.stream.end();
    await clock.advance(500);
    expect(tokens()).toEqual(["t3", "t3"]);
  });

  it("that Pulse ends without an error is lost too", async () => {
    await follow();
    pulse.stream.send(snapshot([], 1));
    await settle();
    pulse.stream.end();
    await settle();
    expect(failed()).toMatchObject([{ error: { rawMessage: "Pulse ended the stream" } }]);
  });
});

describe("with several endpoints", () => {
  /** How often the present one was left, and found to be good. */
  let left: number;
  let settled: number;
  const others = (them: "tried" | "untried") => {
    left = 0;
    settled = 0;
    endpoints = { others: them, leave: () => left++, settle: () => settled++ };
  };
  const stopping = () => {
    const retryDelay = durationFromMs(20_000);
    return new ConnectError("stopping", Code.Unavailable, undefined, [
      { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) },
      {
        desc: ErrorInfoSchema,
        value: create(ErrorInfoSchema, { reason: "DRAINING", domain: "pulse" }),
      },
    ]);
  };

  it("a stream that failed is opened on another one soon, while one is untried", async () => {
    others("untried");
    pulse.mood = "away";
    await follow();
    await clock.advance(10_000);
    const waits = failed().map(({ retryInMs }) => retryInMs);
    expect(waits.length).toBeGreaterThan(19);
    for (const wait of waits) expect(wait).toBeLessThan(500);
    expect(left).toBe(waits.length);
  });

  it("the backoff grows once all have failed, and each failure still leads to another", async () => {
    others("tried");
    pulse.mood = "away";
    await follow();
    await clock.advance(100_000);
    const waits = failed().map(({ retryInMs }) => retryInMs);
    expect(Math.max(...waits)).toBeGreaterThan(7_500);
    expect(left).toBe(waits.length);
  });

  it("a node that is stopping holds nobody up who has another to go to", async () => {
    for (const [them, floorMs] of [
      ["untried", 0],
      ["tried", 20_000],
    ] as const) {
      others(them);
      items = [];
      pulse.mood = stopping();
      await follow();
      expect(failed()[0]?.retryInMs).toBeGreaterThanOrEqual(floorMs);
      expect(failed()[0]?.retryInMs).toBeLessThan(floorMs + 500);
    }
  });

  it("the one that has been well for 15 s is a good one", async () => {
    others("tried");
    await follow();
    pulse.stream.send(snapshot([], 1));
    for (const revision of [2, 3]) {
      await clock.advance(7_000);
      pulse.stream.send(bookmark(revision));
      await settle();
    }
    expect(settled).toBe(0);
    await clock.advance(1_000);
    pulse.stream.send(bookmark(4));
    await settle();
    expect([settled, left]).toEqual([1, 0]);
  });
});

describe("the waits", () => {
  it("are the session's: full jitter, up to 15 s, and count attempts", async () => {
    pulse.mood = "away";
    await follow();
    await clock.advance(200_000);
    const waits = failed().map(({ retryInMs }) => retryInMs);
    for (const [i, wait] of waits.entries())
      expect(wait).toBeLessThan(Math.min(500 * 2 ** i, 15_000));
    expect(Math.max(...waits)).toBeGreaterThan(7_500);
    expect(failed().map((item) => item.type === "interrupted" && item.attempt)).toEqual(
      waits.map((_, i) => i + 1),
    );
    expect(pulse.requests).toHaveLength(waits.length);
    expect(pulse.connects).toBe(waits.length);
  });

  it("end when the connection is there", async () => {
    pulse.mood = "away";
    await follow();
    await clock.advance(100_000);
    const before = pulse.requests.length;
    pulse.mood = "well";
    pulse.comeUp();
    await clock.advance(1_000);
    expect(pulse.requests.length).toBe(before + 1);
  });

  it("are never shorter than RetryInfo says, whether the connection is there or not", async () => {
    const retryDelay = durationFromMs(20_000);
    const detail = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
    pulse.mood = new ConnectError("stopping", Code.Unavailable, undefined, [detail]);
    await follow();
    pulse.comeUp();
    await clock.advance(19_999);
    expect(pulse.requests).toHaveLength(1);
    await clock.advance(501);
    expect(pulse.requests).toHaveLength(2);
  });

  it("grow though each stream begins well: connect-then-die is a failure", async () => {
    pulse.greeting = () => [snapshot([], 1)];
    await follow();
    for (let i = 0; i < 200; i++) {
      await clock.advance(1_000);
      for (const stream of pulse.streams) stream.end();
    }
    await settle();
    const waits = failed().map(({ retryInMs }) => retryInMs);
    expect(Math.max(...waits)).toBeGreaterThan(7_500);
  });

  it("are fresh again after a stream that was well for 15 s", async () => {
    pulse.mood = "away";
    await follow("", { ...seededRandom(), next: () => 0.9 });
    await clock.advance(100_000);
    pulse.mood = "well";
    pulse.greeting = () => [snapshot([], 1)];
    for (const [wellMs, retryInMs] of [
      [14_000, 13_500],
      [16_000, 450],
    ] as const) {
      pulse.comeUp();
      await clock.advance(1_000); // 0.9 s of it are jitter
      for (let ms = 0; ms < wellMs; ms += 1_000) {
        await clock.advance(1_000);
        pulse.stream.send(bookmark(1));
      }
      await settle();
      pulse.stream.end();
      await settle();
      expect(failed().at(-1)?.retryInMs).toBe(retryInMs);
    }
  });
});

describe("a crowd of watchers that lose Pulse at once", () => {
  const CROWD = 200;
  /** What each of them asks goes here, with its time. */
  let asked: number[];
  let pulses: FakeWatchServer[];

  /** Each with a server of its own, which says how it meets them, and a random source. */
  async function gather(mood: FakeWatchServer["mood"]): Promise<void> {
    asked = [];
    pulses = [];
    setMaxListeners(0, watch.signal);
    for (let i = 0; i < CROWD; i++) {
      pulse = new FakeWatchServer();
      pulse.mood = mood;
      pulse.greeting = () => {
        asked.push(clock.now());
        return [snapshot([], 1)];
      };
      pulses.push(pulse);
      void follow("", seededRandom(i + 1));
    }
    await settle();
  }

  /** The most in a tenth of the time, and the whole of it, of what was asked since. */
  function spread(sinceAt: number, ms: number) {
    const buckets = new Array<number>(10).fill(0);
    for (const at of asked) {
      const bucket = Math.floor(((at - sinceAt) / ms) * 10);
      if (bucket >= 0 && bucket < 10) buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    return { count: buckets.reduce((sum, n) => sum + n, 0), most: Math.max(...buckets) };
  }
  /** A bucket of an even spread has 20. */
  const EVEN = 40;

  afterEach(async () => {
    watch.abort();
    await settle();
  });

  it("asks again spread over the half second of the first backoff", async () => {
    await gather("well");
    const lostAt = clock.now();
    asked = [];
    for (const { stream } of pulses) stream.end(new ConnectError("gone", Code.Unavailable));
    await clock.advance(500);
    const { count, most } = spread(lostAt, 500);
    expect(count).toBe(CROWD);
    expect(most).toBeLessThan(EVEN);
  });

  it("asks again spread over a second where Pulse's coming back ends all waits at one moment", async () => {
    await gather("away");
    await clock.advance(60_000); // waits of up to 15 s by then
    for (const one of pulses) one.mood = "well";
    const backAt = clock.now();
    for (const one of pulses) one.comeUp();
    await clock.advance(1_000);
    const { count, most } = spread(backAt, 1_000);
    expect(count).toBe(CROWD);
    expect(most).toBeLessThan(EVEN);
  });

  it("asks again spread over half a second on top of what a Pulse that is stopping asks for", async () => {
    await gather("well");
    const retryDelay = durationFromMs(3_000);
    const detail = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
    const lostAt = clock.now();
    asked = [];
    for (const { stream } of pulses)
      stream.end(new ConnectError("stopping", Code.Unavailable, undefined, [detail]));
    await settle();
    for (const one of pulses) one.comeUp();
    await clock.advance(3_500);
    const { count, most } = spread(lostAt + 3_000, 500);
    expect(count).toBe(CROWD);
    expect(most).toBeLessThan(EVEN);
  });
});

describe("a snapshot that fails half-way", () => {
  /** Each stream gets a part of one, and then is over, though Pulse takes connections. */
  async function failHalfWay(ms: number, afterMs = 0): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await clock.advance(1_000);
      for (const stream of pulse.streams) {
        stream.send(snapshot(["a"], 5, { more: true }));
        for (let waited = 0; waited < afterMs; waited += 5_000) {
          await clock.advance(5_000);
          stream.send(snapshot(["b"], 5, { more: true }));
        }
        await settle();
        stream.end(new ConnectError("gone", Code.Unavailable));
      }
      await settle();
      pulse.comeUp();
    }
  }

  it("is asked for again with a backoff that grows, which no connection cuts short", async () => {
    await follow("", { ...seededRandom(), next: () => 0.9 });
    await failHalfWay(120_000);
    const waits = failed().map(({ retryInMs }) => retryInMs);
    expect(waits.slice(0, 7)).toEqual([450, 900, 1_800, 3_600, 7_200, 13_500, 13_500]);
    expect(pulse.requests.length).toBeLessThan(5 + 120_000 / 13_500 + 5);
  });

  it("is no time in which the stream was well, however long its parts came", async () => {
    await follow("", { ...seededRandom(), next: () => 0.9 });
    await failHalfWay(60_000, 20_000);
    const waits = failed().map(({ retryInMs }) => retryInMs);
    expect(waits.slice(0, 6)).toEqual([450, 900, 1_800, 3_600, 7_200, 13_500]);
  });
});

describe("silence", () => {
  it("before the first message is a loss after 10 s, and the connection is another then", async () => {
    pulse.mood = "silent";
    await follow();
    await clock.advance(9_999);
    expect(types()).toEqual([]);
    await clock.advance(1);
    expect(failed()).toMatchObject([
      { error: { code: Code.DeadlineExceeded, rawMessage: "Pulse sent nothing for 10 s" } },
    ]);
    await clock.advance(500);
    expect([pulse.streams.size, pulse.dials, pulse.closed]).toEqual([1, 2, 1]);
  });

  it("of more than two intervals is a loss, and the connection is another then", async () => {
    await follow();
    pulse.stream.send(snapshot([], 1)); // every 5 s
    await clock.advance(10_000);
    expect(types()).toEqual(["response"]);
    pulse.stream.send(bookmark(1));
    await clock.advance(10_999);
    expect(types()).toEqual(["response", "response"]);
    await clock.advance(1);
    expect(types()).toEqual(["response", "response", "interrupted"]);
    await clock.advance(500);
    expect([pulse.streams.size, pulse.dials, pulse.closed]).toEqual([1, 2, 1]);
  });

  it.each([
    [0, 3_000],
    [100, 3_000],
    [60_000, 121_000],
    [86_400_000, 1_201_000],
  ])("with an interval of %i ms is a loss after %i ms", async (intervalMs, silenceMs) => {
    await follow();
    pulse.stream.send({ ...snapshot([], 1), bookmarkInterval: durationFromMs(intervalMs) });
    await clock.advance(silenceMs - 1);
    expect(types()).toEqual(["response"]);
    await clock.advance(1);
    expect(types()).toEqual(["response", "interrupted"]);
  });

  it("is not taken for granted when the process stood still: what came meanwhile is read", async () => {
    await follow();
    pulse.stream.send(snapshot([], 1));
    await settle();
    clock.stall(600_000);
    clock.advanceSync(0); // the timer is first to run
    pulse.stream.send(bookmark(2));
    await clock.advance(9_000);
    expect(types()).toEqual(["response", "response"]);
    clock.stall(600_000);
    await clock.advance(2_000);
    expect(types()).toEqual(["response", "response", "interrupted"]);
  });
});

describe("a refusal", () => {
  it.each([Code.Unauthenticated, Code.PermissionDenied])(
    "#22 (%i) is asked about again after 50 to 58 s, and counts no more within a minute of its mending",
    async (code) => {
      pulse.mood = new ConnectError("no", code);
      await follow();
      pulse.comeUp();
      await clock.advance(49_999);
      expect(pulse.requests).toHaveLength(1);
      await clock.advance(8_001);
      expect(types()).toEqual(["rejected", "rejected"]);
      pulse.mood = "well";
      pulse.greeting = () => [snapshot([], 1)];
      await clock.advance(58_000);
      expect(types()).toContain("response");
    },
  );

  it.each(["none", "untried"] as const)(
    "is never asked about more often, for an hour, whatever the connection does (others: %s)",
    async (others) => {
      endpoints = { others, leave: () => {}, settle: () => {} };
      pulse.mood = new ConnectError("no", Code.Unauthenticated);
      await follow();
      const asked: number[] = [clock.now()];
      for (let s = 0; s < 3_600; s++) {
        pulse.comeUp();
        await clock.advance(1_000);
        while (asked.length < pulse.requests.length) asked.push(clock.now());
      }
      expect(asked.length).toBeGreaterThan(3_600 / 60);
      for (const [i, at] of asked.slice(1).entries())
        expect(at - (asked[i] ?? 0)).toBeGreaterThanOrEqual(50_000);
      expect(types().every((type) => type === "rejected")).toBe(true);
    },
    30_000,
  );

  it("as invalid ends it with an error that names the field, and leaves nothing", async () => {
    pulse.mood = invalid("kinds[0]");
    await follow();
    expect(end).toBeInstanceOf(InvalidRequestError);
    expect(end).toMatchObject({ fields: ["kinds[0]"] });
    expect([clock.pending, pulse.closed]).toEqual([0, 1]);
  });

  it("of the resume token alone makes it begin with a snapshot", async () => {
    pulse.mood = invalid("resume_token");
    await follow("of another version");
    pulse.mood = "well";
    await clock.advance(500);
    expect(tokens()).toEqual(["of another version", ""]);
    expect(types()).toEqual(["interrupted"]);
  });

  it("of a resume token that was not sent is as any other", async () => {
    pulse.mood = invalid("resume_token");
    await follow();
    expect(end).toBeInstanceOf(InvalidRequestError);
  });
});

describe("the end of the watch", () => {
  it.each(["well", "away", "silent"] as const)(
    "while Pulse is %s leaves no timer, stream or connection",
    async (mood) => {
      pulse.mood = mood;
      pulse.greeting = () => [snapshot([], 1)];
      await follow();
      watch.abort();
      await settle();
      expect(end).toBe("ended");
      expect([clock.pending, pulse.streams.size]).toEqual([0, 0]);
      expect([pulse.dials, pulse.closed]).toEqual([1, 1]);
      const { length } = items;
      await clock.advance(600_000);
      expect([items.length, pulse.requests.length]).toEqual([length, 1]);
    },
  );

  it("by the consumer does so too", async () => {
    pulse.greeting = () => [snapshot([], 1)];
    const stream = followStream({
      dial: pulse.dial,
      endpoints,
      query: DOWNLOAD_CLIENTS.ask({}),
      read: (response) => DOWNLOAD_CLIENTS.read(response),
      resumeToken: "",
      signal: watch.signal,
      clock,
      random: seededRandom(),
    });
    for await (const item of stream) {
      expect(item.type).toBe("response");
      break;
    }
    await settle();
    expect([clock.pending, pulse.streams.size, pulse.closed]).toEqual([0, 0, 1]);
  });
});
