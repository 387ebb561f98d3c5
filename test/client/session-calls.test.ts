import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import { SessionCalls, type SessionCallsOptions } from "../../src/client/session-calls.js";
import type { SessionEvent } from "../../src/client/session-state.js";
import { settle } from "../support/manual-clock.js";
import { FakePulse } from "./fake-pulse.js";

const REGISTERING = {
  described: { service: { name: "haul", type: "x" }, credentials: undefined },
  health: undefined,
  leaseId: undefined,
  attempt: 1,
};
const IDENTITY = { instanceId: "inst-1", instanceSecret: "s3cret-s3cret-s3cret" };
const BEAT = { leaseId: "lease-1", sequence: 1n };

let pulse: FakePulse;
/** What has counted when it came. */
let brought: SessionEvent[];
/** Everything that came, also what did not count any more. */
let came: number;
beforeEach(() => {
  pulse = new FakePulse();
  brought = [];
  came = 0;
});

function createCalls(options: Partial<SessionCallsOptions> = {}) {
  return new SessionCalls({
    dial: pulse.dial,
    ownToken: { isHeld: false },
    identity: async () => IDENTITY,
    ttlMs: undefined,
    arrive(event, isCurrent) {
      came++;
      if (isCurrent()) brought.push(event);
    },
    ...options,
  });
}
const types = () => brought.map(({ type }) => type);

/** An identity that is there when the test says so. */
function slowIdentity() {
  let found = () => {};
  const identity = () =>
    new Promise<typeof IDENTITY>((resolve) => {
      found = () => resolve(IDENTITY);
    });
  return { identity, find: () => found() };
}

describe("a Register", () => {
  it("brings its grant, and says how many attempts went before it", async () => {
    const calls = createCalls();
    await calls.register(REGISTERING);
    await calls.register({ ...REGISTERING, attempt: 3 });
    expect(types()).toEqual(["register-succeeded", "register-succeeded"]);
    const attempts = pulse.headers.map((header) => header.get("grpc-previous-rpc-attempts"));
    expect(attempts).toEqual([null, "2"]);
    expect(pulse.dials).toBe(1);
  });

  it("that fails brings why", async () => {
    pulse.mood = new ConnectError("no", Code.PermissionDenied);
    await createCalls().register(REGISTERING);
    expect(brought).toMatchObject([{ type: "register-failed", failure: { kind: "refused" } }]);
  });

  it("whose identity cannot be read is invalid, and is not even dialled", async () => {
    // Not all that is thrown is an Error.
    const identity = () => Promise.reject("instance.json is damaged");
    await createCalls({ identity }).register(REGISTERING);
    expect(brought).toMatchObject([
      {
        type: "register-failed",
        failure: { kind: "invalid", error: { message: "instance.json is damaged" } },
      },
    ]);
    expect(pulse.dials).toBe(0);
  });

  it("that cannot be dialled brings why too, instead of throwing", async () => {
    const dial = () => {
      throw new Error("no such host");
    };
    await createCalls({ dial }).register(REGISTERING);
    expect(brought).toMatchObject([{ type: "register-failed", failure: { kind: "transient" } }]);
  });

  it("that was cancelled brings nothing, and the next one brings its own", async () => {
    const calls = createCalls();
    pulse.mood = "silent";
    const cancelled = calls.register(REGISTERING);
    await settle();
    calls.cancelRegister();
    pulse.mood = "well";
    await Promise.all([cancelled, calls.register({ ...REGISTERING, attempt: 2 })]);
    expect(came).toBe(2);
    expect(types()).toEqual(["register-succeeded"]);
  });

  it("that was cancelled while its identity was read is never sent", async () => {
    const { identity, find } = slowIdentity();
    const calls = createCalls({ identity });
    const cancelled = calls.register(REGISTERING);
    calls.cancelRegister();
    find();
    await cancelled;
    expect(types()).toEqual([]);
    expect(pulse.registers).toEqual([]);
  });
});

describe("a stream", () => {
  it("sends what it is given, and brings each answer and at last its end", async () => {
    const calls = createCalls();
    await calls.register(REGISTERING);
    const stream = calls.openStream();
    calls.send(BEAT);
    await settle();
    pulse.say(LeaseLostReason.EXPIRED);
    await settle();
    expect(types()).toEqual(["register-succeeded", "acknowledged", "lease-lost"]);
    pulse.heartbeats = "stream-dies";
    calls.send(BEAT);
    await stream;
    expect(brought.at(-1)).toMatchObject({
      type: "stream-ended",
      failure: { kind: "transient", error: { code: Code.Unavailable, rawMessage: "gone" } },
    });
  });

  it("that was closed is cancelled, and brings nothing more, not even its end", async () => {
    const calls = createCalls();
    const stream = calls.openStream();
    await settle();
    expect(pulse.streams).toBe(1);
    calls.closeStream();
    pulse.say(LeaseLostReason.SUPERSEDED);
    await stream;
    await settle();
    expect([pulse.streams, types()]).toEqual([0, []]);
  });

  it("that was closed does not speak for the one that follows it", async () => {
    const calls = createCalls();
    pulse.mood = "silent";
    const first = calls.openStream();
    await settle();
    calls.closeStream();
    pulse.mood = "well";
    void calls.openStream();
    await first;
    calls.send(BEAT);
    await settle();
    expect(types()).toEqual(["lease-lost"]); // the fake has given no lease
    expect(pulse.beats).toHaveLength(1);
  });

  it("is needed to send: without one a heartbeat is dropped, not kept for the next", async () => {
    const calls = createCalls();
    calls.send(BEAT);
    void calls.openStream();
    await settle();
    expect(pulse.beats).toEqual([]);
  });
});

describe("a Deregister", () => {
  it.each(["well", "away"] as const)("brings its end when Pulse is %s", async (mood) => {
    pulse.mood = mood;
    await createCalls().deregister();
    expect(types()).toEqual(["deregistered"]);
    expect(pulse.removed).toEqual(mood === "well" ? ["inst-1"] : []);
  });
});

describe("the connection", () => {
  it("is one for all calls until it is renewed", async () => {
    const calls = createCalls();
    await calls.register(REGISTERING);
    void calls.openStream();
    await calls.deregister();
    expect(pulse.dials).toBe(1);
    calls.renewConnection();
    await calls.register(REGISTERING);
    expect(pulse.dials).toBe(2);
  });

  it("comes up by itself if that is awaited, and says so each time until it is replaced", async () => {
    const calls = createCalls();
    calls.awaitConnection();
    expect([pulse.dials, pulse.connects, types()]).toEqual([1, 1, []]);
    pulse.comeUp();
    pulse.comeUp();
    expect(types()).toEqual(["reachable", "reachable"]);
    calls.renewConnection();
    pulse.comeUp(); // of the one that was dropped
    expect(brought).toHaveLength(2);
  });

  it("is hung up for good: what ran brings nothing", async () => {
    const calls = createCalls();
    pulse.mood = "silent";
    const running = [calls.register(REGISTERING), calls.openStream(), calls.deregister()];
    await settle();
    calls.hangUp();
    await Promise.all(running);
    expect([came, types()]).toEqual([3, []]);
  });

  it("is not made again by a call that was about to begin when it was hung up", async () => {
    const { identity, find } = slowIdentity();
    const calls = createCalls({ identity });
    for (const begin of [() => calls.register(REGISTERING), () => calls.deregister()]) {
      const call = begin();
      calls.hangUp();
      find();
      await call;
    }
    expect([pulse.dials, types()]).toEqual([0, []]);
  });
});
