import { beforeEach, describe, expect, it } from "vitest";
import { WatchLink } from "../../src/client/watch-link.js";
import { ManualClock } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";
import { FakeWatchServer } from "./fake-watch-server.js";

let pulse: FakeWatchServer;
let clock: ManualClock;
let watch: AbortController;
let link: WatchLink;
beforeEach(() => {
  pulse = new FakeWatchServer();
  clock = new ManualClock();
  watch = new AbortController();
  link = new WatchLink(pulse.dial, clock, { ...seededRandom(), next: () => 0.5 });
});

/** How long a pause lasts; time goes on by `stepMs`, and `meanwhile` is told how much has passed. */
async function lasts(
  delayMs: number,
  untilReady: boolean,
  meanwhile: (passedMs: number) => void = () => {},
): Promise<number> {
  const beganAt = clock.now();
  let endedAt: number | undefined;
  void link.pause(delayMs, untilReady, watch.signal).then(() => {
    endedAt = clock.now();
  });
  for (let passed = 0; endedAt === undefined; passed += 100) {
    meanwhile(passed);
    await clock.advance(100);
  }
  expect(clock.pending).toBe(0);
  return endedAt - beganAt;
}

describe("a pause", () => {
  it("lasts as long as it is told, and connects nothing", async () => {
    expect(await lasts(60_000, false, () => pulse.comeUp())).toBe(60_000);
    expect(pulse.dials).toBe(0);
  });

  it("ends within a second, with jitter, once the connection is there again", async () => {
    expect(await lasts(15_000, true, (passed) => passed === 2_000 && pulse.comeUp())).toBe(2_500);
    expect([pulse.dials, pulse.connects]).toEqual([1, 1]);
  });

  it("never gets longer by that, and ends so once only", async () => {
    expect(await lasts(2_100, true, (passed) => passed === 2_000 && pulse.comeUp())).toBe(2_100);
    expect(await lasts(15_000, true, (passed) => passed >= 2_000 && pulse.comeUp())).toBe(2_500);
  });

  it("does not end by a connection that was dropped", async () => {
    void link.connection;
    link.drop();
    expect(pulse.closed).toBe(1);
    const old = pulse.comeUp.bind(pulse);
    const fresh = new FakeWatchServer();
    link = new WatchLink(fresh.dial, clock, seededRandom());
    expect(await lasts(3_000, true, old)).toBe(3_000);
  });

  it("ends at once when the watch does", async () => {
    expect(await lasts(15_000, true, (passed) => passed === 300 && watch.abort())).toBe(300);
    expect(await lasts(15_000, true)).toBe(0);
  });
});

it("is one connection until it is dropped", () => {
  expect(link.connection).toBe(link.connection);
  link.drop();
  link.drop();
  expect([pulse.dials, pulse.closed]).toEqual([1, 1]);
  void link.connection;
  expect(pulse.dials).toBe(2);
});
