import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import type { Registration, RegistrationEvent } from "../../src/client/registration.js";
import {
  createRegistrationGroup,
  type GroupMember,
  type RegistrationGroup,
  type RegistrationGroupOptions,
} from "../../src/client/registration-group.js";
import { ManualClock, settle } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";
import { seededRandom } from "../support/seeded-random.js";
import { FakePulse } from "./fake-pulse.js";

let pulse: FakePulse;
let clock: ManualClock;
vi.mock("../../src/client/connection.js", () => ({ connectBare: () => pulse.dialBare() }));

beforeEach(() => {
  pulse = new FakePulse();
  clock = new ManualClock();
});

function createGroup(options: Partial<RegistrationGroupOptions> = {}): RegistrationGroup {
  const group = createRegistrationGroup({
    pulse: "127.0.0.1:9696",
    token: "t0ken",
    clock,
    random: seededRandom(3),
    ...options,
  });
  onTestFinished(() => void group.close());
  return group;
}

function memberNamed(name: string, options: Partial<GroupMember> = {}): GroupMember {
  return {
    service: { name, type: "t" },
    identity: { instanceId: name, instanceSecret: `secret-of-${name}-s3cret` },
    ...options,
  };
}

interface Told {
  readonly registration: Registration;
  readonly events: RegistrationEvent[];
  readonly types: () => string[];
}

function register(group: RegistrationGroup, name: string, options?: Partial<GroupMember>): Told {
  const registration = group.register(memberNamed(name, options));
  const events: RegistrationEvent[] = [];
  registration.subscribe((event) => events.push(event));
  return { registration, events, types: () => events.map(({ type }) => type) };
}

async function registerSix(group = createGroup()): Promise<Told[]> {
  const members = ["a", "b", "c", "d", "e", "f"].map((name) => register(group, name));
  await settle();
  return members;
}
const states = (members: readonly Told[]) => members.map(({ registration }) => registration.state);
const leases = (members: readonly Told[]) =>
  members.map(({ registration }) => registration.grant?.leaseId);
const all = <T>(value: T) => Array.from({ length: 6 }, () => value);

describe("a group of registrations", () => {
  it("has one connection and one stream, and each its own lease", async () => {
    const members = await registerSix();
    expect(states(members)).toEqual(all("registered"));
    expect(new Set(leases(members)).size).toBe(6);
    expect([pulse.dials, pulse.mostStreams]).toEqual([1, 1]);
    expect(pulse.registers.map(({ instanceId }) => instanceId)).toEqual([..."abcdef"]);
  });

  it("sends as many heartbeats as each alone would, one in flight for each lease", async () => {
    const members = await registerSix();
    await clock.advance(15_000);
    expect(pulse.beats).toHaveLength(6 * 4);
    for (const lease of leases(members))
      expect(
        pulse.beats.filter(({ leaseId }) => leaseId === lease).map(({ sequence }) => sequence),
      ).toEqual([1n, 2n, 3n, 4n]);
  });

  it("comes back with all leases over one stream when that has ended", async () => {
    const members = await registerSix();
    const held = leases(members);
    pulse.say(new ConnectError("gone", Code.Unavailable));
    await clock.advance(1_000);
    expect(members.map(({ types }) => types())).toEqual(
      all(["registered", "disconnected", "reconnected"]),
    );
    expect([leases(members), pulse.registers.length]).toEqual([held, 6]);
    expect([pulse.dials, pulse.streams, pulse.mostStreams]).toEqual([1, 1, 1]);
  });

  it("waits as long as a draining Pulse asks, all of it", async () => {
    const members = await registerSix();
    pulse.say({ drainMs: 4_000 });
    await clock.advance(3_999);
    expect([states(members), pulse.streams]).toEqual([all("reconnecting"), 0]);
    await clock.advance(501);
    expect(states(members)).toEqual(all("registered"));
  });

  it("replaces a connection that has fallen silent once, before any lease ends", async () => {
    const members = await registerSix();
    const held = leases(members);
    await clock.advance(5_000);
    pulse.heartbeats = "unanswered";
    await clock.advance(5_000 + 7_500);
    pulse.heartbeats = "answered";
    await clock.advance(500);
    expect(states(members)).toEqual(all("registered"));
    expect([leases(members), pulse.dials, pulse.connections, pulse.streams]).toEqual([
      held,
      2,
      1,
      1,
    ]);
  });

  it("replaces it once when the process stood still", async () => {
    const members = await registerSix();
    clock.stall(600_000);
    await clock.advance(1_000);
    expect(members.map(({ types }) => types())).toEqual(
      all(["registered", "disconnected", "reconnected"]),
    );
    expect([pulse.dials, pulse.connections, pulse.streams]).toEqual([2, 1, 1]);
  });

  it("does not wait for the end of its backoffs when the connection comes up", async () => {
    pulse.mood = "away";
    const members = await registerSix();
    await clock.advance(100_000);
    pulse.mood = "well";
    pulse.comeUp();
    await clock.advance(1_000);
    expect(states(members)).toEqual(all("registered"));
    expect(pulse.dials).toBe(1);
  });
});

describe("one member of a group", () => {
  /** That nothing happened to the others. */
  function expectCalm(others: readonly Told[]): void {
    for (const { types } of others) expect(types()).toEqual(["registered"]);
    expect([pulse.dials, pulse.streams, pulse.mostStreams]).toEqual([1, 1, 1]);
  }

  it.each([LeaseLostReason.EXPIRED, LeaseLostReason.DEREGISTERED, LeaseLostReason.UNKNOWN])(
    "that has lost its lease (%s) registers anew, it alone",
    async (reason) => {
      const [one, ...others] = (await registerSix()) as [Told, ...Told[]];
      const lost = one.registration.grant?.leaseId ?? "";
      pulse.say(reason, lost);
      await clock.advance(2_000);
      expect(one.types()).toEqual(["registered", "disconnected", "reconnected"]);
      expect(one.registration.grant?.leaseId).not.toBe(lost);
      await clock.advance(10_000);
      expect(one.registration.state).toBe("registered");
      expectCalm(others);
    },
  );

  it("that is superseded stops, it alone", async () => {
    const [one, ...others] = (await registerSix()) as [Told, ...Told[]];
    pulse.say(LeaseLostReason.SUPERSEDED, one.registration.grant?.leaseId);
    await clock.advance(60_000);
    expect(one.types()).toEqual(["registered", "superseded"]);
    expectCalm(others);
  });

  it("that is updated heartbeats its new lease on the same stream", async () => {
    const [one, ...others] = (await registerSix()) as [Told, ...Told[]];
    one.registration.update({ service: { name: "new", type: "t" } });
    await clock.advance(5_000);
    expect(one.types()).toEqual(["registered", "updated"]);
    const { leaseId } = one.registration.grant ?? {};
    expect(pulse.beats.filter((beat) => beat.leaseId === leaseId)).toHaveLength(2);
    expectCalm(others);
  });

  it("that is refused is refused alone", async () => {
    const group = createGroup();
    const others = await registerSix(group);
    pulse.mood = new ConnectError("pinned", Code.PermissionDenied); // for new calls
    const refused = register(group, "refused");
    await clock.advance(10_000);
    expect(refused.types()).toEqual(["rejected"]);
    pulse.mood = "well";
    await clock.advance(60_000);
    expect(refused.types()).toEqual(["rejected", "registered"]);
    expectCalm(others);
  });

  it("whose Register is not answered tears nobody, whose heartbeats are", async () => {
    const group = createGroup();
    const others = await registerSix(group);
    pulse.mood = "silent"; // for new calls
    const slow = register(group, "slow");
    await clock.advance(30_000);
    expect(slow.types()).toContain("attempt-failed");
    expectCalm(others);
    pulse.mood = "well";
    await clock.advance(32_000);
    expect(slow.registration.state).toBe("registered");
    expectCalm(others);
  });

  it("that leaves says goodbye, and the others do not", async () => {
    const [one, ...others] = (await registerSix()) as [Told, ...Told[]];
    await one.registration.close({ deregister: true });
    await clock.advance(20_000);
    expect(pulse.beats.filter(({ goodbye }) => goodbye)).toMatchObject([
      { leaseId: one.registration.grant?.leaseId },
    ]);
    expect(pulse.removed).toEqual(["a"]);
    expectCalm(others);
  });

  it("that comes later joins the stream that is there, and goes on when the first has left", async () => {
    const group = createGroup();
    const first = register(group, "first");
    await clock.advance(10_000);
    const late = register(group, "late");
    await settle();
    await first.registration.close();
    await clock.advance(20_000);
    expect(late.types()).toEqual(["registered"]);
    expect([pulse.dials, pulse.streams, pulse.mostStreams]).toEqual([1, 1, 1]);
  });

  it("that is reported offline says so, it alone", async () => {
    const [one] = (await registerSix()) as [Told, ...Told[]];
    one.registration.report({ health: { status: "offline", reason: "does not answer" } });
    await settle();
    expect(pulse.beats.at(-1)).toMatchObject({
      leaseId: one.registration.grant?.leaseId,
      statusReason: "does not answer",
    });
    expect(pulse.beats).toHaveLength(7);
  });
});

describe("members that join", () => {
  beforeEach(() => {
    let given = 0;
    pulse.admit = (token, rpc) => {
      if (token !== "join") return "";
      if (rpc === "heartbeat") throw new ConnectError("no scope", Code.PermissionDenied);
      return `own-${++given}`;
    };
  });

  it("have a stream each with a token of their own, over one connection", async () => {
    const members = await registerSix(createGroup({ token: "join" }));
    await clock.advance(10_000);
    expect(states(members)).toEqual(all("registered"));
    expect([pulse.dials, pulse.streams]).toEqual([1, 6]);
  });

  it("lose that token each alone, and join again", async () => {
    const members = await registerSix(createGroup({ token: "join" }));
    pulse.revoke("own-2");
    await clock.advance(2_000);
    expect(members.map(({ types }) => types().length)).toEqual([1, 3, 1, 1, 1, 1]);
    expect(states(members)).toEqual(all("registered"));
    expect([pulse.dials, pulse.streams]).toEqual([1, 6]);
  });
});

it("a token that all share and that is revoked is a refusal for each, mended for each", async () => {
  let token = "old";
  const members = await registerSix(createGroup({ token: () => token }));
  pulse.revoke("old");
  await settle();
  expect(states(members)).toEqual(all("rejected"));
  token = "new";
  await clock.advance(60_000);
  expect(members.map(({ types }) => types())).toEqual(
    all(["registered", "rejected", "registered"]),
  );
  expect(pulse.streams).toBe(1);
});

describe("the end of a group", () => {
  const expectNothingLeft = () =>
    expect([clock.pending, pulse.streams, pulse.connections]).toEqual([0, 0, 0]);

  it("says all goodbyes, and closes the connection", async () => {
    const group = createGroup();
    const members = await registerSix(group);
    await group.close();
    expect(pulse.beats.filter(({ goodbye }) => goodbye).map(({ leaseId }) => leaseId)).toEqual(
      leases(members),
    );
    expect(states(members)).toEqual(all("closed"));
    await settle();
    expectNothingLeft();
  });

  it("takes 2 s at most for all together if Pulse does not answer", async () => {
    const group = createGroup();
    await registerSix(group);
    pulse.heartbeats = "unanswered";
    let isOver = false;
    void group.close().then(() => {
      isOver = true;
    });
    await clock.advance(1_999);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect(isOver).toBe(true);
    await settle();
    expectNothingLeft();
  });

  it("comes with its signal, which it lets go", async () => {
    const controller = new AbortController();
    const group = createGroup({ signal: controller.signal });
    const members = await registerSix(group);
    controller.abort();
    await group.close();
    expect(states(members)).toEqual(all("closed"));
    const late = group.register(memberNamed("late"));
    expect(late.state).toBe("closed");
    const never = createGroup({ signal: controller.signal }).register(memberNamed("never"));
    expect(never.state).toBe("closed");
    await settle();
    expectNothingLeft();
  });

  it("leaves nothing of a thousand members that came and went", async () => {
    const group = createGroup();
    const stays = register(group, "stays");
    await settle();
    const before = clock.pending;
    for (let round = 0; round < 100; round++) {
      const members = Array.from({ length: 10 }, (_, i) => register(group, `${round}-${i}`));
      await settle(2);
      if (round % 3 === 0) pulse.say(new ConnectError("gone", Code.Unavailable));
      await clock.advance(round % 7 === 0 ? 6_000 : 10);
      await Promise.all(members.map(({ registration }) => registration.close()));
      await clock.advance(600);
    }
    await clock.advance(15_000);
    expect(stays.registration.state).toBe("registered");
    expect([clock.pending, pulse.streams, pulse.connections, pulse.dials]).toEqual([
      before,
      1,
      1,
      1,
    ]);
    await group.close();
    await settle();
    expectNothingLeft();
  }, 30_000);

  it("keeps nothing while it has no members, and connects again for the next", async () => {
    const group = createGroup();
    expect([pulse.dials, clock.pending]).toEqual([0, 0]);
    await register(group, "one").registration.close();
    await settle();
    const two = register(group, "two");
    await settle();
    await two.registration.close();
    await settle();
    expectNothingLeft();
    const three = register(group, "three");
    await settle();
    expect([three.registration.state, pulse.connections]).toEqual(["registered", 1]);
  });
});

describe("its logs", () => {
  it("are of each member that has its own, and one for the others", async () => {
    const [common, own] = [recordingLog(), recordingLog()];
    const group = createGroup({ log: common });
    register(group, "one");
    register(group, "two", { log: own });
    await settle();
    await group.close();
    const messages = ["registered with Pulse", "the registration with Pulse has ended"];
    for (const { lines } of [common, own]) expect(lines.map(({ msg }) => msg)).toEqual(messages);
  });

  it("say once that plain text goes to another host", () => {
    const log = recordingLog();
    const group = createGroup({ pulse: "http://pulse:9696", insecure: true, log });
    void group.register(memberNamed("one")).close();
    void group.register(memberNamed("two")).close();
    expect(log.lines.filter(({ msg }) => msg.includes("plain text"))).toHaveLength(1);
  });
});

it.each<[string, () => unknown]>([
  ["pulse", () => createGroup({ pulse: "ftp://pulse" })],
  ["token", () => createGroup({ token: "two words" })],
  ["service.name", () => createGroup().register(memberNamed(" "))],
  ["ttlMs", () => createGroup().register(memberNamed("a", { ttlMs: 1 }))],
  [
    "identity.directory",
    () => createGroup().register(memberNamed("a", { identity: { directory: "" } })),
  ],
])("a bad %s is refused by name, at once", (name, start) => {
  expect(start).toThrow(TypeError);
  expect(start).toThrow(new RegExp(`^${name.replace(".", "\\.")} `));
  expect([clock.pending, pulse.dials]).toEqual([0, 0]);
});
