import { beforeEach, describe, expect, it } from "vitest";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { DomainError } from "../../src/core/errors.js";
import { HeartbeatStream, type StreamOpener } from "../../src/pulse/heartbeat-stream.js";
import { invalidToken } from "../../src/pulse/tokens.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import { Fleet } from "../support/fleet.js";
import { FleetNode } from "../support/fleet-node.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { SharedDatabase } from "../support/shared-memory-store.js";
import { RequestFeed } from "./request-feed.js";

/** Past so many unread answers a client's requests are not read. */
const BOUND = 64;

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

const ANYBODY: StreamOpener = { tokenId: "token-1", instanceId: "" };

function open(opener = ANYBODY) {
  const requests = new RequestFeed();
  const closed: HeartbeatStream[] = [];
  const stream = new HeartbeatStream(requests, fleet.leases, opener, (ended) => closed.push(ended));
  /** The next response in short. */
  async function next() {
    const { done, value } = await stream.next();
    if (done) return "end";
    const { event } = value;
    if (event.case === "renewed") return `renewed ${event.value.sequence}`;
    if (event.case === "leaseLost") return `lost ${LeaseLostReason[event.value.reason]}`;
    return event.case;
  }
  return { requests, stream, closed, next };
}

async function refusalOf(call: Promise<unknown>) {
  const error = await call.then(
    (value) => expect.unreachable(`it gave ${value}`),
    (reason: unknown) => reason,
  );
  if (error instanceof DomainError) return error.refusal;
  throw error;
}

describe("a request", () => {
  it("is answered with its lease and sequence, and what is granted now", async () => {
    const { leaseId } = await fleet.register(1, { ttlMs: 7_000 });
    const { requests, stream } = open();
    requests.send({ leaseId, sequence: 18_446_744_073_709_551_615n });
    expect((await stream.next()).value?.event).toMatchObject({
      case: "renewed",
      value: {
        leaseId,
        sequence: 18_446_744_073_709_551_615n,
        ttl: { seconds: 7n, nanos: 0 },
        heartbeatInterval: { seconds: 2n, nanos: 333_000_000 },
      },
    });
  });

  it("is answered in its turn, whatever the answer", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, next } = open();
    requests.send({ leaseId: "nonsense", sequence: 1n });
    requests.send({ leaseId, sequence: 2n });
    requests.send({ leaseId, sequence: 3n, goodbye: true });
    requests.send({ leaseId, sequence: 4n });
    const answers = [await next(), await next(), await next(), await next()];
    expect(answers).toEqual(["lost UNKNOWN", "renewed 2", "renewed 3", "lost EXPIRED"]);
  });

  it("may say that its instance lives and is OFFLINE, and nothing by an unknown status", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, next } = open();
    requests.send({ leaseId, status: ServiceStatus.OFFLINE, statusReason: "no answer" });
    expect(await next()).toBe("renewed 0");
    await settle();
    for (const status of [ServiceStatus.PENDING, ServiceStatus.UNSPECIFIED, 99 as ServiceStatus]) {
      requests.send({ leaseId, status, statusReason: "other" });
      await next();
      await settle();
      expect(fleet.status(1)).toBe("offline: no answer");
    }
  });

  it.each([
    ["x".repeat(256), "x".repeat(256)],
    ["x".repeat(257), "x".repeat(256)],
    // Characters, not UTF-16 units: half a character cannot be sent on.
    ["🎬".repeat(256), "🎬".repeat(256)],
    [`${"x".repeat(255)}🎬🎬`, `${"x".repeat(255)}🎬`],
    ["disk full\n\u0000", "disk full "],
  ])("has its reason cut to one line of 256 characters", async (statusReason, kept) => {
    const { leaseId } = await fleet.register(1);
    const { requests, next } = open();
    requests.send({ leaseId, status: ServiceStatus.DEGRADED, statusReason });
    await next();
    await settle();
    expect(fleet.status(1)).toBe(`degraded: ${kept}`);
  });
});

describe("goodbye", () => {
  it("is answered only once it is durable", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, stream } = open();
    let written = () => {};
    const commit = fleet.store.commit.bind(fleet.store);
    fleet.store.commit = async (commits) => {
      await new Promise<void>((resolve) => {
        written = resolve;
      });
      return commit(commits);
    };
    requests.send({ leaseId, sequence: 1n, goodbye: true });
    let isAnswered = false;
    const answer = stream.next().then(() => {
      isAnswered = true;
    });
    await settle();
    expect(isAnswered).toBe(false);
    written();
    await answer;
    expect(fleet.reasons()).toEqual(["registered", "goodbye"]);
  });

  it("that cannot be written is not answered: the stream ends with what is wrong", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, stream, closed } = open();
    fleet.store.failure = new StoreUnavailableError("disk full");
    requests.send({ leaseId, goodbye: true });
    expect(await refusalOf(stream.next())).toMatchObject({ kind: "store-unavailable" });
    expect(closed).toEqual([stream]);
  });

  it("leaves nothing that the end of the stream could break", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, next } = open();
    requests.send({ leaseId, sequence: 1n });
    requests.send({ leaseId, sequence: 2n, goodbye: true });
    requests.end();
    expect([await next(), await next(), await next()]).toEqual(["renewed 1", "renewed 2", "end"]);
    await fleet.clock.advance(20_000);
    expect(fleet.reasons()).toEqual(["registered", "goodbye"]);
  });
});

describe("a client that does not read", () => {
  it("has 64 answers waiting, and then its requests are not read until it reads again", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, next } = open();
    for (let n = 1; n <= 200; n++) requests.send({ leaseId, sequence: BigInt(n) });
    await settle();
    expect(requests.read).toBe(BOUND);
    expect(await next()).toBe("renewed 1");
    await settle();
    expect(requests.read).toBe(BOUND + 1);
    for (let n = 2; n <= 200; n++) expect(await next()).toBe(`renewed ${n}`);
    expect(requests.read).toBe(200);
  });

  it("and goes away is not read from any more", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, stream } = open();
    for (let n = 1; n <= 200; n++) requests.send({ leaseId });
    await settle();
    await stream.return();
    await settle();
    expect(requests.isLeft).toBe(true);
    expect(requests.read).toBeLessThanOrEqual(BOUND + 1);
  });
});

describe("the end of a stream", () => {
  it.each<[string, (parts: ReturnType<typeof open>) => Promise<unknown>]>([
    ["abandoned by the wire", ({ stream }) => stream.return()],
    [
      "half-closed by the client",
      ({ requests, next }) => {
        requests.end();
        return next();
      },
    ],
    [
      "cut",
      ({ requests, stream }) => {
        requests.end(new Error("connection reset"));
        return expect(stream.next()).rejects.toThrow("connection reset");
      },
    ],
  ])("%s breaks each lease that hangs on it, once, and is told once", async (_, end) => {
    const leases = [await fleet.register(1), await fleet.register(2)];
    const parts = open();
    for (const { leaseId } of leases) parts.requests.send({ leaseId });
    await parts.next();
    await parts.next();
    await end(parts);
    expect(parts.closed).toEqual([parts.stream]);
    await fleet.clock.advance(3_500);
    expect([fleet.status(1), fleet.status(2)]).toEqual([
      "offline: disconnected",
      "offline: disconnected",
    ]);
    await parts.stream.return();
    expect(await parts.next()).toBe("end");
    expect(parts.closed).toHaveLength(1);
  });

  it("wakes a reader that waits", async () => {
    const { stream, next } = open();
    const waiting = next();
    await stream.return();
    expect(await waiting).toBe("end");
  });

  it("leaves a lease alone that another stream carries by now", async () => {
    const { leaseId } = await fleet.register(1);
    const [old, newer] = [open(), open()];
    for (const { requests, next } of [old, newer]) {
      requests.send({ leaseId });
      await next();
    }
    await old.stream.return();
    await fleet.clock.advance(6_000);
    expect(fleet.reasons()).toEqual(["registered"]);
  });

  it("comes after the answers that wait", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, next } = open();
    requests.send({ leaseId, sequence: 1n });
    requests.end();
    await settle();
    expect([await next(), await next()]).toEqual(["renewed 1", "end"]);
  });
});

describe("a lease that is lost", () => {
  it("is said unasked, and the others on the stream go on", async () => {
    const [one, two] = [await fleet.register(1), await fleet.register(2)];
    const { requests, next } = open();
    for (const { leaseId } of [one, two]) {
      requests.send({ leaseId, sequence: 1n });
      await next();
    }
    await fleet.register(1);
    expect(await next()).toBe("lost SUPERSEDED");
    requests.send({ leaseId: two.leaseId, sequence: 2n });
    expect(await next()).toBe("renewed 2");
  });
});

describe("a lease that this Pulse does not know", () => {
  /** Two nodes: the lease is given by one, and its stream is at the other. */
  async function nodes() {
    const clock = new ManualClock();
    const database = new SharedDatabase(clock);
    database.hints = false;
    const [giver, other] = [
      await FleetNode.start(clock, database),
      await FleetNode.start(clock, database),
    ];
    const { leaseId } = await giver.register(1);
    const requests = new RequestFeed();
    const stream = new HeartbeatStream(requests, other.engine.leases, ANYBODY, () => {});
    return { leaseId, other, requests, stream };
  }

  it("is asked for: perhaps another node has just given it", async () => {
    const { leaseId, requests, stream } = await nodes();
    requests.send({ leaseId, sequence: 1n });
    expect((await stream.next()).value?.event.case).toBe("renewed");
    requests.send({ leaseId: `${leaseId}x`, sequence: 2n });
    expect((await stream.next()).value?.event).toMatchObject({
      case: "leaseLost",
      value: { reason: LeaseLostReason.UNKNOWN },
    });
  });

  it("is asked for before goodbye as well", async () => {
    const { leaseId, other, requests, stream } = await nodes();
    requests.send({ leaseId, goodbye: true });
    expect((await stream.next()).value?.event.case).toBe("renewed");
    expect(other.status(1)).toBe("offline: goodbye");
  });

  it("is not called lost while nobody can say: the stream ends as UNAVAILABLE", async () => {
    const { leaseId, other, requests, stream } = await nodes();
    other.store.isCutOff = true;
    requests.send({ leaseId });
    expect(await refusalOf(stream.next())).toMatchObject({ kind: "store-unavailable" });
  });
});

describe("draining", () => {
  it("is said after the answers that wait, and then the stream ends as UNAVAILABLE", async () => {
    const { leaseId } = await fleet.register(1);
    const { requests, stream, next, closed } = open();
    requests.send({ leaseId, sequence: 1n });
    await settle();
    stream.drain(1_500);
    requests.send({ leaseId, sequence: 2n });
    expect(await next()).toBe("renewed 1");
    expect((await stream.next()).value?.event).toMatchObject({
      case: "draining",
      value: { retryAfter: { seconds: 1n, nanos: 500_000_000 } },
    });
    expect(await refusalOf(stream.next())).toEqual({ kind: "draining", retryAfterMs: 1_500 });
    expect(closed).toEqual([stream]);
    expect(await next()).toBe("end");
  });

  it("reaches a reader that waits", async () => {
    const { stream, next } = open();
    const waiting = next();
    stream.drain(1_000);
    expect(await waiting).toBe("draining");
  });
});

describe("a stream of an instance's own token", () => {
  it("renews that instance's lease, and takes others' for unknown, whatever became of them", async () => {
    const mine = await fleet.register(1);
    const theirs = await fleet.register(2);
    const superseded = theirs.leaseId;
    const { leaseId: live } = await fleet.register(2);
    const { requests, next } = open({ tokenId: "token-1", instanceId: "i1" });
    for (const leaseId of [mine.leaseId, live, superseded, "none"])
      requests.send({ leaseId, sequence: 1n });
    expect(await next()).toBe("renewed 1");
    for (const _ of [live, superseded, "none"]) expect(await next()).toBe("lost UNKNOWN");
    expect(fleet.leases.isAttached(live)).toBe(false);
  });

  it("says no goodbye for another instance", async () => {
    const { leaseId } = await fleet.register(2);
    const { requests, next } = open({ tokenId: "token-1", instanceId: "i1" });
    requests.send({ leaseId, goodbye: true });
    expect(await next()).toBe("lost UNKNOWN");
    expect(fleet.status(2)).toBe("online: registered");
  });
});

it("a stream that is cut ends with the error after what waits, which is no goodbye", async () => {
  const { leaseId } = await fleet.register(1);
  const { requests, stream, next } = open();
  requests.send({ leaseId, sequence: 1n });
  await settle();
  stream.cut(invalidToken());
  requests.send({ leaseId, goodbye: true });
  expect(await next()).toBe("renewed 1");
  expect(await refusalOf(stream.next())).toMatchObject({ reason: "TOKEN_INVALID" });
  expect(fleet.status(1)).toBe("online: registered");
  await fleet.clock.advance(2_000);
  expect(fleet.status(1)).toBe("online: registered");
  await fleet.clock.advance(2_000);
  expect(fleet.status(1)).toBe("offline: disconnected");
});
