import { setTimeout as sleep } from "node:timers/promises";
import { describe, it, type TestContext } from "vitest";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { connectPulse, type PulseConnection } from "../../src/client/index.js";
import { EntryChanges } from "../support/entry-changes.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { figure } from "../support/figures.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { Members, monotonicNow } from "../support/members.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { HAUL } from "../support/pulse.js";
import { SlowPulse } from "../support/slow-pulse.js";
import { Stack } from "../support/stack.js";
import { describeStacks } from "../support/stacks.js";

const TTL_MS = 5_000;
const INTERVAL_MS = TTL_MS / 3;
const GRACE_MS = 3_000;
/** So long that the grace ends before the next heartbeat. */
const LONG_TTL_MS = 12_000;

type Test = Pick<TestContext, "expect" | "onTestFinished">;

describe.concurrent("heartbeats", () => {
  describeStacks("an old stream", (create) => {
    it("#7 that closes after the new one attached is no transition", async (test) => {
      const stack = await create();
      test.onTestFinished(() => stack.stop());
      await stack.startPulse();
      await closesLate(test, stack, stack);
    }, 60_000);
  });

  describePostgres("an old stream at another node", () => {
    it("#7 that closes after the new one attached is no transition", async (test) => {
      const { url: database } = await createDatabase();
      const [old, next] = [await Stack.create({ database }), await Stack.create({ database })];
      test.onTestFinished(async () => void (await Promise.all([old.stop(), next.stop()])));
      await old.startPulse();
      await next.startPulse();
      await closesLate(test, old, next);
    }, 60_000);
  });

  it("#9 a slow server has at most one heartbeat of a lease in flight, also across reconnects", async ({
    expect,
    onTestFinished,
  }) => {
    const stack = await Stack.create();
    onTestFinished(() => stack.stop());
    const slow = await SlowPulse.start(TTL_MS);
    onTestFinished(() => slow.close());
    const config = { pulse: slow.url, token: "any", prefix: "member", count: 3 };
    const members = await Members.start(stack.group, config);
    await members.areRegistered();
    let status: "online" | "degraded" = "online";
    /** Each change of status wants a heartbeat at once. */
    const report = async (answerMs: number, forMs: number) => {
      slow.answerMs = answerMs;
      for (const end = monotonicNow() + forMs; monotonicNow() < end; await sleep(150)) {
        status = status === "online" ? "degraded" : "online";
        for (const member of members.names)
          members.command({ do: "report", member, report: { health: { status } } });
      }
    };
    await report(1_000, 2_000);
    expect(members.events().map(({ type }) => type)).not.toContain("disconnected");
    const slowAt = monotonicNow();
    await report(6_000, 5_000);
    slow.answerMs = 0;
    await members.each("disconnected", slowAt);
    await members.each("reconnected", slowAt);
    await report(0, 1_000);
    figure(9, "heartbeats of a lease in flight at most", slow.mostInFlight);
    expect(slow.mostInFlight).toBe(1);
    const said = status === "online" ? ServiceStatus.ONLINE : ServiceStatus.DEGRADED;
    await eventually(() => {
      for (const member of members.names)
        expect(slow.beats.findLast((beat) => beat.leaseId.startsWith(member))?.status).toBe(said);
    });
  }, 60_000);

  describeStacks("one missed heartbeat", (create) => {
    it("#29 is no transition", async ({ expect, onTestFinished }) => {
      const stack = await create();
      onTestFinished(() => stack.stop());
      await stack.startPulse();
      const proxy = await FaultProxy.open(stack.port);
      onTestFinished(() => proxy.close());
      const late = await stack.startMembers({ port: proxy.port, prefix: "late", ttlMs: 8_000 });
      await late.areRegistered();
      const { registry } = stack.connect();
      const requestedTtl = { seconds: 5n, nanos: 0 };
      const reply = await registry.register({ ...HAUL, requestedTtl });
      const leaseId = reply.lease?.id ?? "";
      const changes = await EntryChanges.start(stack.url, await stack.token());
      onTestFinished(() => changes.stop());
      const stream = new HeartbeatClient(registry);
      await stream.beat({ leaseId, sequence: 1n });
      const startedAt = monotonicNow();

      proxy.pause();
      await sleep(2_800); // more than an interval: one of them is late
      await proxy.restore();
      await sleep(startedAt + 2 * INTERVAL_MS - monotonicNow()); // and one of these never came
      await stream.beat({ leaseId, sequence: 3n });
      await sleep(startedAt + TTL_MS + 500 - monotonicNow());
      await stream.beat({ leaseId, sequence: 4n });

      expect(late.events().map(({ type }) => type)).toEqual(["registered"]);
      for (const id of [late.events()[0]?.serviceId, reply.service?.id])
        expect(await reasonsOf(stack, id)).toEqual(["registered"]);
      expect(changes.seen).toEqual([]);
      stream.break();
    }, 60_000);
  });

  describeStacks("a service that was removed", (create) => {
    it("#30 is not brought back by a late heartbeat", async ({ expect, onTestFinished }) => {
      const stack = await create();
      onTestFinished(() => stack.stop());
      const pulse = await stack.startPulse();
      const proxy = await FaultProxy.open(stack.port);
      onTestFinished(() => proxy.close());
      const admin = await connect(stack, stack.port);
      const registrant = await connect(stack, proxy.port);
      onTestFinished(() => admin.close());
      onTestFinished(() => registrant.close());
      const { lease } = await registrant.registry.register(HAUL);
      const leaseId = lease?.id ?? "";
      const isGone = async () => {
        const { services } = await stack.connect().registry.listServices({});
        expect([services, [...(await stack.entries())]]).toEqual([[], []]);
      };
      const lost = {
        case: "leaseLost",
        value: { leaseId, reason: LeaseLostReason.DEREGISTERED },
      };
      const stream = new HeartbeatClient(registrant.registry);
      await stream.beat({ leaseId, sequence: 1n });

      proxy.pause("to-target");
      stream.send({ leaseId, sequence: 2n });
      await admin.registry.deregister({ instanceId: HAUL.instanceId });
      expect(await stream.event()).toMatchObject(lost); // unasked
      await isGone();
      await proxy.restore();
      expect(await stream.event()).toMatchObject(lost);
      const other = new HeartbeatClient(admin.registry);
      expect(await other.beat({ leaseId, sequence: 3n })).toMatchObject(lost);
      await isGone();

      pulse.kill("SIGKILL");
      await pulse.exit;
      await stack.startPulse();
      const later = new HeartbeatClient(stack.connect().registry);
      expect(await later.beat({ leaseId, sequence: 4n })).toMatchObject(lost);
      await isGone();
      later.break();
    }, 60_000);

    it("#30 while it runs registers anew, with a new lease", async ({ expect, onTestFinished }) => {
      const stack = await create();
      onTestFinished(() => stack.stop());
      await stack.startPulse();
      const members = await stack.startMembers({ count: 2 });
      await members.areRegistered();
      const admin = await connect(stack, stack.port);
      onTestFinished(() => admin.close());
      await admin.registry.deregister({ instanceId: "member-0" });
      const removedAt = monotonicNow();
      await eventually(() =>
        expect(members.events("member-0").map(({ type }) => type)).toEqual([
          "registered",
          "disconnected",
          "reconnected",
        ]),
      );
      const [before, , after] = members.events("member-0");
      figure(
        30,
        "ms until a running service that was removed has registered anew",
        (after?.at ?? 0) - removedAt,
      );
      expect(after).toMatchObject({ registeredAnew: true, serviceId: before?.serviceId });
      expect(after?.leaseId).not.toBe(before?.leaseId);
      expect(await reasonsOf(stack, before?.serviceId)).toEqual(["registered", "deregistered"]);
      expect(members.events("member-1")).toHaveLength(1);
    }, 60_000);
  });
});

/** A service's stream falls silent, the service opens another at `next`, and then the old one is reset. */
async function closesLate({ expect, onTestFinished }: Test, old: Stack, next: Stack) {
  const proxy = await FaultProxy.open(old.port);
  onTestFinished(() => proxy.close());
  const members = await old.startMembers({ port: proxy.port, ttlMs: LONG_TTL_MS });
  await members.areRegistered();
  const serviceId = members.events()[0]?.serviceId ?? "";
  await old.hasHeartbeat(serviceId);
  const changes = await EntryChanges.start(next.url, await old.token());
  onTestFinished(() => changes.stop());

  proxy.target(next.port);
  proxy.forget();
  const forgottenAt = monotonicNow();
  const [back] = await members.each("reconnected", forgottenAt);
  figure(
    7,
    "ms until a service with a TTL of 12 s whose connection is forgotten has another",
    (back?.at ?? 0) - forgottenAt,
  );
  proxy.resetForgotten();
  await sleep(GRACE_MS + 1_500);
  expect(back?.registeredAnew).toBe(false);
  expect(await reasonsOf(old, serviceId)).toEqual(["registered"]);
  expect(changes.seen).toEqual([]);
  expect(members.events().map(({ type }) => type)).toEqual([
    "registered",
    "disconnected",
    "reconnected",
  ]);
}

/** With all rights, which removing without an instance's secret takes. */
async function connect(stack: Stack, port: number): Promise<PulseConnection> {
  const pulse = `http://127.0.0.1:${port}`;
  return connectPulse({ pulse, token: await stack.token("admin"), retry: "never" });
}

/** Each reason once, in the order of time. */
async function reasonsOf(stack: Stack, serviceId: string | undefined): Promise<string[]> {
  return [...new Set(await stack.reasons(serviceId ?? ""))];
}
