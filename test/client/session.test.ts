import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, describe, expect, it } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { logEvents } from "../../src/client/event-log.js";
import type { Registration, RegistrationEvent } from "../../src/client/registration.js";
import { type SessionOptions, startSession } from "../../src/client/session.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { seededRandom } from "../support/seeded-random.js";
import { FakePulse } from "./fake-pulse.js";

const SECRET = "s3cret-of-this-instance";
const API_KEY = "k3y-of-the-api";

function setUp(options: Partial<SessionOptions> = {}) {
  const pulse = new FakePulse();
  const clock = new ManualClock();
  const events: RegistrationEvent[] = [];
  const lines: string[] = [];
  const write = (fields: object, msg: string) =>
    void lines.push(`${JSON.stringify(fields)} ${msg}`);
  const log = logEvents(
    { debug: write, info: write, warn: write, error: write },
    "http://pulse:9696",
  );
  const start = () =>
    startSession({
      dial: pulse.dial,
      ownToken: { isHeld: false },
      endpoints: new Endpoints(["http://127.0.0.1:9696"]),
      identity: async () => ({ instanceId: "inst-1", instanceSecret: SECRET }),
      service: { name: "haul", type: "download-client", kind: "aria2", apiUrl: "http://h:6800/" },
      credentials: { apiKey: API_KEY, state: "verified" },
      health: undefined,
      ttlMs: undefined,
      standaloneAfterMs: 120_000,
      clock,
      random: seededRandom(7),
      onEvent: (event) => {
        events.push(event);
        log(event);
      },
      ...options,
    });
  const types = () => events.map((event) => event.type);
  return { pulse, clock, events, lines, start, types };
}

let session: Registration | undefined;
afterEach(async () => {
  void session?.close();
  session = undefined;
});

describe("a registration", () => {
  it("registers, opens the stream and heartbeats at once, then every interval", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    expect(session.state).toBe("connecting");
    await settle();
    expect(session.state).toBe("registered");
    expect(session.grant).toMatchObject({ leaseId: "lease-1", ttlMs: 15_000 });
    expect(pulse.registers).toMatchObject([
      {
        instanceId: "inst-1",
        instanceSecret: SECRET,
        serviceApiKey: API_KEY,
        credentialState: CredentialState.VERIFIED,
        service: { name: "haul", kind: "aria2", apiUrl: "http://h:6800/" },
      },
    ]);
    expect(pulse.registers[0]?.serviceUsername).toBeUndefined();
    expect(pulse.beats.map((beat) => beat.sequence)).toEqual([1n]);
    await clock.advance(15_000);
    expect(pulse.beats.map((beat) => beat.sequence)).toEqual([1n, 2n, 3n, 4n]);
    expect(types()).toEqual(["registered"]);
  });

  it("goes on standalone after 120 s without Pulse, and is registered when Pulse appears", async () => {
    const { pulse, clock, events, start, lines } = setUp();
    pulse.mood = "away";
    session = start();
    await clock.advance(119_999);
    expect(session.state).toBe("connecting");
    await clock.advance(1);
    expect(session.state).toBe("standalone");
    expect(lines.at(-1)).toContain("Pulse at http://pulse:9696 was not reachable for 120 s");
    await clock.advance(600_000);
    pulse.mood = "well";
    await clock.advance(32_000);
    expect(session.state).toBe("registered");
    const waits = events.flatMap((e) => (e.type === "attempt-failed" ? [e.retryInMs] : []));
    for (const [i, wait] of waits.entries())
      expect(wait).toBeLessThan(Math.min(2_000 * 2 ** i, 32_000));
    expect(Math.max(...waits)).toBeGreaterThan(16_000);
    expect(events.filter((e) => e.type === "attempt-failed").map((e) => e.attempt)).toEqual(
      waits.map((_, i) => i + 1),
    );
    expect(pulse.headers.at(-1)?.get("grpc-previous-rpc-attempts")).toBe(String(waits.length));
  });

  it("does not wait for the end of a backoff when the connection comes up", async () => {
    const { pulse, clock, start } = setUp();
    pulse.mood = "away";
    session = start();
    await clock.advance(600_000);
    expect(pulse.connects).toBeGreaterThan(20); // each wait asks for it
    pulse.mood = "well";
    pulse.comeUp();
    await clock.advance(1_000);
    expect(session.state).toBe("registered");
  });

  it("abandons a Pulse that accepts and stays silent after 10 s, and dials anew", async () => {
    const { pulse, clock, events, start } = setUp();
    pulse.mood = "silent";
    session = start();
    await clock.advance(9_999);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(events).toMatchObject([
      { type: "attempt-failed", error: { code: Code.DeadlineExceeded } },
    ]);
    await clock.advance(2_000);
    expect(pulse.dials).toBe(2);
  });

  it("never asks sooner than RetryInfo says", async () => {
    const { pulse, clock, start } = setUp();
    const retryDelay = durationFromMs(20_000);
    const detail = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
    pulse.mood = new ConnectError("full", Code.ResourceExhausted, undefined, [detail]);
    session = start();
    await clock.advance(19_999);
    expect(pulse.registers).toHaveLength(1);
    await clock.advance(2_001);
    expect(pulse.registers).toHaveLength(2);
  });

  it("#22 says once that it is rejected, asks again within the minute, and mends by itself", async () => {
    const { pulse, clock, start, types } = setUp();
    pulse.mood = new ConnectError("unknown token", Code.Unauthenticated);
    session = start();
    await clock.advance(100_000);
    expect(session.state).toBe("rejected");
    expect(pulse.registers).toHaveLength(2);
    expect(types()).toEqual(["rejected"]);
    await clock.advance(20_000);
    pulse.mood = "well";
    await clock.advance(58_000);
    expect(types()).toEqual(["rejected", "standalone", "registered"]);
  });

  it.each(["none", "tried", "untried"] as const)(
    "never asks a Pulse that refuses it more often than every 50 s, for an hour, whatever happens (others: %s)",
    async (others) => {
      const { pulse, clock, events, start } = setUp({
        endpoints: { current: undefined, others, leave: () => {}, settle: () => {} },
      });
      pulse.mood = new ConnectError("unknown token", Code.Unauthenticated);
      session = start();
      await settle();
      const asked = [clock.now()];
      for (let s = 0; s < 3_600; s++) {
        pulse.comeUp();
        if (s % 10 === 0) session.update({ credentials: { apiKey: `${s}` } });
        if (s % 70 === 0) clock.stall(6_000); // now and then with a timer overdue: it woke
        await clock.advance(1_000);
        while (asked.length < pulse.registers.length) asked.push(clock.now());
      }
      expect(asked.length).toBeGreaterThan(3_600 / 65);
      for (const [i, at] of asked.slice(1).entries())
        expect(at - (asked[i] ?? 0)).toBeGreaterThanOrEqual(50_000);
      expect(events.map(({ type }) => type)).toEqual(["rejected", "standalone"]);
    },
    30_000,
  );

  it("whose update is refused asks no more often for further updates", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    pulse.mood = new ConnectError("pinned", Code.PermissionDenied);
    for (let s = 0; s < 3_600; s++) {
      pulse.comeUp();
      session.update({ credentials: { apiKey: `${s}` } });
      await clock.advance(1_000);
    }
    expect(pulse.registers.length - 1).toBeLessThanOrEqual(3_600 / 50 + 1);
    expect(pulse.registers.length - 1).toBeGreaterThan(3_600 / 60);
    expect(session.state).toBe("registered");
  }, 30_000);

  it("fails at once on an invalid request, and leaves nothing behind", async () => {
    const { pulse, clock, start, types } = setUp();
    pulse.mood = new ConnectError("service.kind: is unknown", Code.InvalidArgument);
    session = start();
    await settle();
    expect(session.state).toBe("failed");
    expect(types()).toEqual(["failed"]);
    expect(clock.pending).toBe(0);
  });

  it("fails at once if the identity cannot be read", async () => {
    const { clock, start, events } = setUp({
      identity: () => Promise.reject(new Error("/data/instance.json is damaged")),
    });
    session = start();
    await settle();
    expect(events).toMatchObject([{ type: "failed", error: { message: /instance.json/ } }]);
    expect(clock.pending).toBe(0);
  });
});

describe("a registration that was lost", () => {
  it("heartbeats the lease it has when the stream breaks, without registering anew", async () => {
    const { pulse, clock, start, events } = setUp();
    session = start();
    await settle();
    pulse.heartbeats = "stream-dies";
    await clock.advance(5_000);
    expect(session.state).toBe("reconnecting");
    pulse.heartbeats = "answered";
    await clock.advance(15_000);
    expect(session.state).toBe("registered");
    expect(pulse.registers).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ type: "reconnected", registeredAnew: false });
    expect(pulse.mostStreams).toBe(1);
  });

  it("notices a half-open connection by the missing answer, and dials anew", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    await settle();
    pulse.heartbeats = "unanswered";
    await clock.advance(5_000 + 7_499);
    expect(types()).toEqual(["registered"]);
    await clock.advance(1);
    expect(types()).toEqual(["registered", "disconnected"]);
    pulse.heartbeats = "answered";
    await clock.advance(500);
    expect(session.state).toBe("registered");
    expect(pulse.dials).toBe(2);
    expect(pulse.streams).toBe(1);
  });

  it("is back within 2 s with the same instance id when Pulse has lost everything", async () => {
    const { pulse, clock, start, events } = setUp();
    session = start();
    await settle();
    pulse.forget();
    pulse.say({ drainMs: 0 });
    await clock.advance(2_000);
    expect(session.state).toBe("registered");
    expect(session.grant?.epoch).toBe("epoch-2");
    expect(pulse.registers.map((request) => request.instanceId)).toEqual(["inst-1", "inst-1"]);
    expect(events.at(-1)).toMatchObject({ type: "reconnected", registeredAnew: true });
  });

  it("names the lease that it holds whenever it registers, so that it is not taken for a second process", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    session.update({ service: { name: "b", type: "t" } });
    await settle();
    pulse.forget();
    await clock.advance(10_000);
    expect(pulse.registers.map(({ leaseId }) => leaseId)).toEqual(["", "lease-1", "lease-2"]);
  });

  it("stops when another process takes its identity", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    await settle();
    pulse.say(LeaseLostReason.SUPERSEDED);
    await clock.advance(600_000);
    expect(session.state).toBe("superseded");
    expect(types()).toEqual(["registered", "superseded"]);
    expect(pulse.registers).toHaveLength(1);
    expect([clock.pending, pulse.streams]).toEqual([0, 0]);
  });

  it("waits as long as a draining Pulse asks", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    await settle();
    pulse.say({ drainMs: 4_000 });
    await clock.advance(3_999);
    expect(pulse.streams).toBe(0);
    expect(session.state).toBe("reconnecting");
    await clock.advance(501);
    expect(types()).toEqual(["registered", "disconnected", "reconnected"]);
  });

  it.each(["well", "away", "silent"] as const)(
    "is back within 5 s after the process stood still for 10 min (Pulse was %s before)",
    async (mood) => {
      // At many moments: far into the backoff, in the middle of an attempt, or resting.
      for (let moment = 200_000; moment < 240_000; moment += 4_000) {
        const { pulse, clock, start } = setUp();
        pulse.mood = mood;
        const stalled = start();
        await clock.advance(moment);
        pulse.mood = "well";
        pulse.forget();
        clock.stall(600_000);
        await clock.advance(5_000);
        expect([moment, stalled.state, pulse.streams]).toEqual([moment, "registered", 1]);
        await stalled.close();
      }
    },
  );
});

it("says which endpoint has failed, once for each loss, and which has proved good after a whole TTL", async () => {
  const told: string[] = [];
  const { pulse, clock, start, events } = setUp({
    endpoints: {
      current: { place: "10.0.0.1:9696", scheme: "http", host: "a", port: "9696" },
      others: "untried",
      leave: () => told.push("leave"),
      settle: () => told.push("settle"),
    },
  });
  session = start();
  await clock.advance(14_999);
  expect(events).toMatchObject([{ type: "registered", endpoint: "10.0.0.1:9696" }]);
  expect(told).toEqual([]);
  await clock.advance(1);
  expect(told).toEqual(["settle"]);
  pulse.heartbeats = "unanswered";
  await clock.advance(5_000 + 7_500);
  expect(told).toEqual(["settle", "leave"]);
  pulse.heartbeats = "answered";
  await clock.advance(500);
  expect(session.state).toBe("registered");
  expect(pulse.dials).toBe(2); // what may be half-open is dropped all the same
});

describe("update and report", () => {
  it("registers the newest of several updates, while heartbeats go on", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    await settle();
    session.update({ service: { name: "a", type: "t" } });
    session.update({ service: { name: "b", type: "t" } });
    session.update({ credentials: { apiKey: "" } });
    await settle();
    const sent = pulse.registers.slice(1).map((r) => [r.service?.name, r.serviceApiKey]);
    expect(sent).toEqual([
      ["a", API_KEY],
      ["b", ""],
    ]);
    expect(types()).toEqual(["registered", "updated", "updated"]);
    await clock.advance(5_000);
    expect(pulse.beats.at(-1)).toMatchObject({ leaseId: "lease-3", sequence: 2n });
    expect(pulse.mostStreams).toBe(1);
  });

  it("registers anew with all that was said, though an update named but a part of it", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    session.update({ credentials: { username: "me" } });
    await settle();
    pulse.forget();
    await clock.advance(7_000);
    const said = { serviceUsername: "me", serviceApiKey: API_KEY };
    expect(pulse.registers.slice(1)).toMatchObject([said, said]);
  });

  it("keeps the registration that Pulse accepted when an update is invalid", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    await settle();
    pulse.mood = new ConnectError("service.name: is empty", Code.InvalidArgument);
    session.update({ service: { name: "", type: "t" } });
    await settle();
    expect(types()).toEqual(["registered", "failed"]);
    expect(session.state).toBe("registered");
    pulse.mood = "well";
    pulse.say(LeaseLostReason.EXPIRED);
    await clock.advance(1_000);
    expect(pulse.registers.at(-1)?.service?.name).toBe("haul");
  });

  it("sends a change of status at once, and load with the next heartbeat", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    session.report({ load: { active: 2.9, freeBytes: Number.NaN, queued: -1 } });
    await settle();
    expect(pulse.beats).toHaveLength(1);
    session.report({ health: { status: "degraded", reason: "disk full" } });
    await settle();
    expect(pulse.beats).toHaveLength(2);
    const beat = pulse.beats[1];
    expect(beat).toMatchObject({ status: ServiceStatus.DEGRADED, statusReason: "disk full" });
    expect(beat?.load?.active).toBe(2);
    expect([beat?.load?.freeBytes, beat?.load?.queued]).toEqual([undefined, undefined]);
    session.report({ health: { status: "degraded" } });
    await clock.advance(5_000);
    expect(pulse.beats).toHaveLength(3);
  });

  it("registers what has changed with the health that goes along, and no heartbeat tells of one without the other", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    session.update({
      credentials: { apiKey: "k", state: "rejected" },
      health: { status: "degraded", reason: "refused" },
    });
    session.report({ health: { status: "degraded", reason: "refused" } });
    await settle();
    expect(pulse.registers).toHaveLength(2);
    expect(pulse.registers[1]).toMatchObject({
      credentialState: CredentialState.REJECTED,
      status: ServiceStatus.DEGRADED,
      statusReason: "refused",
    });
    const registered = pulse.beats.length;
    await clock.advance(5_000);
    expect(pulse.beats.slice(1).map(({ status }) => status)).not.toContain(ServiceStatus.ONLINE);
    expect(pulse.beats.length).toBeGreaterThan(registered);
  });

  it("says at once that what it stands for is OFFLINE, and again when it registers anew", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    session.report({ health: { status: "offline", reason: "no answer" } });
    await settle();
    const said = { status: ServiceStatus.OFFLINE, statusReason: "no answer" };
    expect(pulse.beats[1]).toMatchObject(said);
    pulse.forget();
    await clock.advance(7_000);
    expect(pulse.registers.at(-1)).toMatchObject(said);
    session.report({ health: { status: "online" } });
    await settle();
    expect(pulse.beats.at(-1)).toMatchObject({ status: ServiceStatus.ONLINE });
  });

  it("says with one heartbeat that its credentials were accepted, and with the next only if told again", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    const states = () => pulse.beats.map(({ credentialState }) => CredentialState[credentialState]);
    session.report({ verified: true });
    session.report({ verified: true });
    await settle();
    expect(states()).toEqual(["UNSPECIFIED"]);
    await clock.advance(10_000);
    session.report({ load: { active: 1 }, verified: true });
    await clock.advance(5_000);
    expect(states()).toEqual(["UNSPECIFIED", "VERIFIED", "UNSPECIFIED", "VERIFIED"]);
  });

  it("says nothing of credentials that Pulse does not have yet", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    pulse.mood = "away"; // to a Register, while the stream goes on
    session.update({ credentials: { apiKey: "next" } });
    await clock.advance(6_000);
    session.report({ verified: true });
    await clock.advance(12_000);
    pulse.mood = "well";
    await clock.advance(60_000);
    const states = (leaseId: string) =>
      pulse.beats
        .filter((beat) => beat.leaseId === leaseId)
        .map(({ credentialState }) => CredentialState[credentialState]);
    expect(states("lease-1").length).toBeGreaterThan(3);
    expect(new Set(states("lease-1"))).toEqual(new Set(["UNSPECIFIED"]));
    expect(states("lease-2").filter((state) => state === "VERIFIED")).toHaveLength(1);
  });

  it("does not say of new credentials that those before them were accepted", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    session.report({ verified: true });
    session.update({ credentials: { apiKey: "next" } });
    await clock.advance(10_000);
    expect(pulse.beats.at(-1)).toMatchObject({ leaseId: "lease-2", sequence: 3n });
    for (const { credentialState } of pulse.beats)
      expect(credentialState).toBe(CredentialState.UNSPECIFIED);
  });

  it("says nothing of credentials that Pulse has refused", async () => {
    const { pulse, clock, start } = setUp();
    session = start();
    await settle();
    pulse.mood = new ConnectError("service_api_key: is too long", Code.InvalidArgument);
    session.update({ credentials: { apiKey: "bad" } });
    session.report({ verified: true });
    await settle();
    pulse.mood = "well";
    await clock.advance(10_000);
    expect(pulse.beats.length).toBeGreaterThan(1);
    for (const { credentialState } of pulse.beats)
      expect(credentialState).toBe(CredentialState.UNSPECIFIED);
  });
});

describe("close", () => {
  it("says goodbye, deregisters if asked to, and leaves no timer and no stream", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    await settle();
    const closed = session.close({ deregister: true });
    expect(session.state).toBe("closed");
    await closed;
    expect(pulse.beats.at(-1)).toMatchObject({ goodbye: true, sequence: 2n });
    expect(pulse.removed).toEqual(["inst-1"]);
    expect(types()).toEqual(["registered", "closed"]);
    await settle();
    expect([clock.pending, pulse.streams]).toEqual([0, 0]);
    await session.close();
  });

  it("takes 2 s at most when Pulse does not answer", async () => {
    const { pulse, clock, start, types } = setUp();
    session = start();
    await settle();
    pulse.heartbeats = "unanswered";
    pulse.mood = "silent";
    const closed = session.close({ deregister: true });
    await clock.advance(1_999);
    expect(types()).toEqual(["registered"]);
    await clock.advance(1);
    await closed;
    expect([clock.pending, pulse.streams]).toEqual([0, 0]);
  });

  it.each(["away", "silent"] as const)("is immediate while Pulse is %s", async (mood) => {
    const { pulse, clock, start } = setUp();
    pulse.mood = mood;
    session = start();
    await settle();
    await session.close();
    expect(clock.pending).toBe(0);
  });
});

it("a listener that throws, closes or updates from within an event does no harm", async () => {
  const { start, types } = setUp();
  session = start();
  session.subscribe(() => {
    throw new Error("mine");
  });
  const unsubscribe = session.subscribe((event) => {
    if (event.type === "registered") session?.update({ credentials: { apiKey: "x" } });
    if (event.type === "updated") void session?.close();
  });
  await settle(10);
  expect(types()).toEqual(["registered", "updated", "closed"]);
  unsubscribe();
});

it("no secret is in any event or line", async () => {
  const { pulse, clock, start, events, lines } = setUp();
  pulse.mood = "away";
  session = start();
  await clock.advance(130_000);
  pulse.mood = new ConnectError("no", Code.PermissionDenied);
  await clock.advance(40_000);
  pulse.mood = "well";
  await clock.advance(65_000);
  pulse.heartbeats = "stream-dies";
  await clock.advance(10_000);
  pulse.heartbeats = "answered";
  await clock.advance(20_000);
  await session.close();
  expect(new Set(events.map((event) => event.type)).size).toBeGreaterThan(5);
  const all = `${lines.join()}${events.map((e) => JSON.stringify(e, (_, v) => (typeof v === "bigint" ? `${v}` : v instanceof Error ? `${v.stack}${v.cause}` : v))).join()}`;
  for (const secret of [SECRET, API_KEY]) expect(all).not.toContain(secret);
});
