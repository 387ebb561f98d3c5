import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import {
  createRegistrationGroup,
  type Registration,
  type RegistrationEvent,
  type RegistrationGroup,
} from "../../src/client/index.js";
import type * as HeartbeatStreams from "../../src/pulse/heartbeat-streams.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { type Clients, Scope, TestPulse } from "../support/pulse.js";

// One program in front of several services, and Pulse: one connection, one stream, and
// leases that have nothing to do with each other.

/** Heartbeat streams that Pulse has opened, and those that are open. */
const streams = vi.hoisted(() => ({ opened: 0, open: 0 }));
vi.mock("../../src/pulse/heartbeat-streams.js", async (original) => {
  const { createHeartbeatStreams } = await original<typeof HeartbeatStreams>();
  const count: typeof createHeartbeatStreams = (leases) => {
    const all = createHeartbeatStreams(leases);
    return {
      ...all,
      async *open(requests, opener) {
        streams.opened++;
        streams.open++;
        try {
          yield* all.open(requests, opener);
        } finally {
          streams.open--;
        }
      },
    };
  };
  return { createHeartbeatStreams: count };
});

interface Member {
  readonly name: string;
  readonly secret: string;
  readonly registration: Registration;
  readonly events: RegistrationEvent[];
}

const NAMES = ["aria", "deluge", "nzbget", "qbit", "sab", "transmission"];
let pulse: TestPulse;
let proxy: FaultProxy;
let group: RegistrationGroup;
let admin: Clients;
beforeEach(async () => {
  Object.assign(streams, { opened: 0, open: 0 });
  pulse = await TestPulse.start({ policy: { reconnectGraceMs: 60_000 } });
  proxy = await FaultProxy.open(Number(new URL(pulse.server.url).port));
  admin = pulse.clients("gRPC", await pulse.fileToken("admin"));
});
afterEach(async () => {
  await group.close();
  await proxy.close();
  await pulse.stop();
});

async function registerAll(token: string, names = NAMES): Promise<Member[]> {
  group = createRegistrationGroup({ pulse: `http://127.0.0.1:${proxy.port}`, token });
  const members = names.map((name) => {
    const secret = `the secret of ${name}, kept`;
    const registration = group.register({
      service: { name, type: "downloads" },
      identity: { instanceId: `instance-${name}`, instanceSecret: secret },
    });
    const events: RegistrationEvent[] = [];
    registration.subscribe((event) => events.push(event));
    return { name, secret, registration, events };
  });
  await eventually(() => expect(types(members)).toEqual(members.map(() => ["registered"])));
  return members;
}

const registerSix = async () => registerAll(await pulse.fileToken("service"));
const types = (members: readonly Member[]) =>
  members.map(({ events }) => events.map(({ type }) => type));
const leasesOf = (members: readonly Member[]) =>
  members.map(({ registration }) => registration.grant?.leaseId);
/** The newest thing that each was told, once it is that. */
const untilAllAre = (members: readonly Member[], type: RegistrationEvent["type"]) =>
  eventually(() =>
    expect(members.map(({ events }) => events.at(-1)?.type)).toEqual(members.map(() => type)),
  );
async function statuses(): Promise<Record<string, string>> {
  const { services } = await admin.registry.listServices({});
  return Object.fromEntries(
    services.map(({ spec, status }) => [spec?.name ?? "", ServiceStatus[status]]),
  );
}
const allAre = (status: string, changed: Record<string, string> = {}) => ({
  ...Object.fromEntries(NAMES.map((name) => [name, status])),
  ...changed,
});

describe("six registrations of one group", () => {
  it("come over one connection, with one heartbeat stream", async () => {
    const members = await registerSix();
    await eventually(() => expect(streams.open).toBe(1));
    expect(await statuses()).toEqual(allAre("ONLINE"));
    expect(new Set(leasesOf(members)).size).toBe(6);
    expect([streams.opened, proxy.accepted]).toEqual([1, 1]);
  });

  it("are back with their leases after a restart of Pulse", async () => {
    const members = await registerSix();
    const leases = leasesOf(members);
    await pulse.restart();
    admin = pulse.clients("gRPC", await pulse.fileToken("admin"));
    await untilAllAre(members, "reconnected");
    expect(leasesOf(members)).toEqual(leases);
    expect(await statuses()).toEqual(allAre("ONLINE"));
    expect([streams.open, proxy.connections]).toEqual([1, 1]);
  });

  it("are back with their leases when their connection was cut", async () => {
    const members = await registerSix();
    const leases = leasesOf(members);
    await proxy.cut();
    await untilAllAre(members, "disconnected");
    await proxy.restore();
    await untilAllAre(members, "reconnected");
    expect(leasesOf(members)).toEqual(leases);
    await eventually(() => expect([streams.open, proxy.connections]).toEqual([1, 1]));
    expect(await statuses()).toEqual(allAre("ONLINE"));
  });

  it("end together, with a goodbye each", async () => {
    await registerSix();
    await group.close();
    expect(await statuses()).toEqual(allAre("OFFLINE"));
    await eventually(() => expect([streams.open, proxy.connections]).toEqual([0, 0]));
  });
});

describe("one of six", () => {
  /** Everything is as it was for the others, and there is one stream. */
  function expectCalm(others: readonly Member[]): void {
    expect(types(others)).toEqual(others.map(() => ["registered"]));
    expect([streams.opened, streams.open, proxy.accepted]).toEqual([1, 1, 1]);
  }

  it("that was deregistered registers anew, it alone", async () => {
    const [one, ...others] = (await registerSix()) as [Member, ...Member[]];
    const [lost] = leasesOf([one]);
    await eventually(() => expect(streams.open).toBe(1));
    const identity = { instanceId: `instance-${one.name}`, instanceSecret: one.secret };
    await admin.registry.deregister(identity);
    await untilAllAre([one], "reconnected");
    expect(leasesOf([one])).not.toEqual([lost]);
    expect(await statuses()).toEqual(allAre("ONLINE"));
    expectCalm(others);
  });

  it("that leaves is OFFLINE at once, it alone", async () => {
    const [one, ...others] = (await registerSix()) as [Member, ...Member[]];
    await one.registration.close();
    expect(await statuses()).toEqual(allAre("ONLINE", { [one.name]: "OFFLINE" }));
    expectCalm(others);
  });

  it("whose identity another process takes stops, it alone", async () => {
    const [one, ...others] = (await registerSix()) as [Member, ...Member[]];
    await eventually(() => expect(streams.open).toBe(1));
    await admin.registry.register({
      service: { name: one.name, type: "downloads" },
      instanceId: `instance-${one.name}`,
      instanceSecret: one.secret,
    });
    await untilAllAre([one], "superseded");
    expectCalm(others);
  });

  it("that has an identity of somebody else is refused, it alone", async () => {
    const others = await registerSix();
    await eventually(() => expect(streams.open).toBe(1));
    const refused = group.register({
      service: { name: "thief", type: "downloads" },
      identity: { instanceId: "instance-aria", instanceSecret: "not the secret of aria" },
    });
    await eventually(() => expect(refused.state).toBe("rejected"));
    expectCalm(others);
  });
});

it("those who have joined have a stream each, over one connection, and lose it each alone", async () => {
  const join = { name: "join", scopes: [Scope.JOIN], maxUses: NAMES.length };
  const { token } = await admin.tokens.createToken(join);
  const members = await registerAll(token);
  await eventually(() => expect(streams.open).toBe(6));
  expect([streams.opened, proxy.accepted]).toEqual([6, 1]);
  const { tokens } = await admin.tokens.listTokens({});
  const own = tokens.find(({ instanceId }) => instanceId === "instance-aria");
  await admin.tokens.revokeToken({ id: own?.id ?? "" });
  const [one, ...others] = members as [Member, ...Member[]];
  await untilAllAre([one], "reconnected");
  expect(types(others)).toEqual(others.map(() => ["registered"]));
  expect([streams.opened, streams.open, proxy.accepted]).toEqual([7, 6, 1]);
  expect(await statuses()).toEqual(allAre("ONLINE"));
});
