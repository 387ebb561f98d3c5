import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it, onTestFinished } from "vitest";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import type { RegistrationEvent } from "../../src/client/registration.js";
import { startSession } from "../../src/client/session.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import { figure } from "../support/figures.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";
import { FakePulse } from "./fake-pulse.js";

const HOUR_MS = 3_600_000;
/** What a registration may do as Pulse goes away. */
const LOSSES = ["holds its lease", "registers anew"] as const;
type Loss = (typeof LOSSES)[number];
/** How Pulse is away: nobody listens, or somebody does and never answers. */
const MOODS = ["away", "silent"] as const;

/** A registration that is well, and its Pulse. */
async function attached(seed: number, pulse = new FakePulse()) {
  const clock = new ManualClock();
  const events: RegistrationEvent[] = [];
  const session = startSession({
    dial: pulse.dial,
    ownToken: { isHeld: false },
    endpoints: new Endpoints(["http://127.0.0.1:9696"]),
    identity: async () => ({ instanceId: "inst-1", instanceSecret: "a secret of 16 or more" }),
    service: { name: "haul", type: "download-client", kind: "aria2", apiUrl: "http://h:6800/" },
    credentials: undefined,
    health: undefined,
    ttlMs: undefined,
    standaloneAfterMs: 120_000,
    clock,
    random: seededRandom(seed),
    onEvent: (event) => void events.push(event),
  });
  onTestFinished(() => void session.close());
  await settle();
  expect(session.state).toBe("registered");
  return { pulse, clock, events, session };
}

interface Absence {
  readonly awayMs: number;
  readonly mood: (typeof MOODS)[number];
  readonly loss: Loss;
  readonly seed: number;
}

/**
 * How long after Pulse's return the registration is there again, ms. Nothing tells it
 * that the connection is up: a balancer in front of Pulse may have kept it all the time.
 */
async function wayBackMs({ awayMs, mood, loss, seed }: Absence): Promise<number> {
  const { pulse, clock, events, session } = await attached(seed);
  pulse.mood = mood;
  if (loss === "registers anew") {
    pulse.forget();
    pulse.say(LeaseLostReason.UNKNOWN);
  } else pulse.say({ drainMs: 0 });
  await clock.advance(awayMs);
  expect(session.state).toBe("reconnecting");
  pulse.mood = "well";
  const returnedAt = clock.now();
  while (session.state !== "registered") await clock.advance(250);
  expect(events.at(-1)?.type).toBe("reconnected");
  expect(pulse.streams).toBe(1);
  return clock.now() - returnedAt;
}

describe("a Pulse that comes back", () => {
  it("#2 after 8 h has its services back within 30 s", async () => {
    const absence = { mood: "away", loss: "holds its lease", awayMs: 8 * HOUR_MS } as const;
    expect(await wayBackMs({ ...absence, seed: 1 })).toBeLessThanOrEqual(30_000);
  }, 60_000);

  it("#2 has everybody back within 30 s, at whatever moment of their waits it comes", async () => {
    let longestMs = 0;
    // All backoffs are at their cap by then, as they are 8 h later.
    for (let seed = 1; seed <= 25; seed++)
      for (const mood of MOODS)
        for (const loss of LOSSES) {
          const awayMs = 180_000 + seed * 1_000;
          longestMs = Math.max(longestMs, await wayBackMs({ awayMs, mood, loss, seed }));
        }
    expect(longestMs).toBeLessThanOrEqual(30_000);
    figure(
      2,
      "longest way back if only the wait's own time ends it, 100 clients, s",
      longestMs / 1_000,
    );
  }, 60_000);
});

const FAILURES = {
  "is refused by its store": () => new ConnectError("the database is away", Code.Unavailable),
  "fails inside": () => new ConnectError("internal error 1", Code.Internal),
  "is full": () => new ConnectError("too many", Code.ResourceExhausted),
  "is cut off": () => new ConnectError("read ECONNRESET", Code.Canceled),
};

describe.each(Object.entries(FAILURES))("a re-registration with a Pulse that %s", (_, failure) => {
  it.each([1, 2])("#6 fails %i times, and is tried until it succeeds", async (times) => {
    const pulse = new FakePulse();
    const { register } = pulse.handlers;
    let left = 0;
    pulse.handlers.register = (request, context) => {
      pulse.mood = left-- > 0 ? failure() : "well";
      return register(request, context);
    };
    const { clock, events, session } = await attached(times, pulse);
    left = times;
    pulse.forget();
    pulse.say(LeaseLostReason.UNKNOWN);
    await clock.advance(30_000);
    expect(session.state).toBe("registered");
    expect(pulse.registers).toHaveLength(1 + times + 1);
    expect(events.map(({ type }) => type)).toEqual([
      "registered",
      "disconnected",
      ...Array.from({ length: times }, () => "attempt-failed"),
      "reconnected",
    ]);
    expect(events.at(-1)).toMatchObject({ registeredAnew: true });
    expect(new Set(pulse.registers.map(({ instanceId }) => instanceId)).size).toBe(1);
  });
});

it("#6 a re-registration that Pulse never answers is abandoned, twice, and tried until it succeeds", async () => {
  const { pulse, clock, events, session } = await attached(3);
  pulse.mood = "silent";
  pulse.forget();
  pulse.say(LeaseLostReason.UNKNOWN);
  const failures = () => events.filter(({ type }) => type === "attempt-failed").length;
  while (failures() < 2) await clock.advance(100);
  pulse.mood = "well";
  await clock.advance(15_000);
  expect(session.state).toBe("registered");
  expect(pulse.registers).toHaveLength(4);
  expect(pulse.streams).toBe(1);
});
