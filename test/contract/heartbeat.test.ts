import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { LeaseLostReason } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

// Only gRPC: HTTP/1.1 cannot carry a bidirectional stream.
describeContract(
  ({ start }) => {
    let pulse: PulseUnderTest;
    let { registry, downloadClients }: Clients = {} as Clients;
    // One for each test: many that lapse in one Pulse would be taken for its own fault, and held.
    beforeEach(async () => {
      pulse = await start({ policy: { reconnectGraceMs: 300 } });
      ({ registry, downloadClients } = pulse.clients("gRPC", await pulse.fileToken("service")));
    });
    afterEach(() => pulse.stop());

    async function registerInstance(instanceId: string) {
      const reply = await registry.register({ ...HAUL, instanceId });
      const status = async () => {
        const { service } = await registry.getService({ id: reply.service?.id ?? "" });
        return `${ServiceStatus[service?.status ?? 0]}: ${service?.statusReason}`;
      };
      return { leaseId: reply.lease?.id ?? "", serviceId: reply.service?.id, instanceId, status };
    }

    const lost = (leaseId: string, reason: LeaseLostReason) => ({
      case: "leaseLost",
      value: { leaseId, reason },
    });

    describe("a heartbeat", () => {
      it("is answered with its lease, its sequence, TTL and interval", async () => {
        const { leaseId } = await registerInstance("answered");
        const stream = new HeartbeatClient(registry);
        for (const sequence of [1n, 2n, 7n])
          expect(await stream.beat({ leaseId, sequence })).toMatchObject({
            case: "renewed",
            value: { leaseId, sequence, ttl: { seconds: 15n }, heartbeatInterval: { seconds: 5n } },
          });
        await stream.end();
      });

      it("for many leases goes over one stream, answered in order", async () => {
        const leases = await Promise.all(["one", "two", "three"].map((id) => registerInstance(id)));
        const stream = new HeartbeatClient(registry);
        for (const { leaseId } of leases) stream.send({ leaseId, sequence: 1n });
        for (const { leaseId } of leases)
          expect(await stream.event()).toMatchObject({ case: "renewed", value: { leaseId } });
        await stream.end();
      });

      it.each(["", "nonsense", "a.1.b", "x".repeat(1_000)])(
        "for the unknown lease %j is answered at once, and the stream goes on",
        async (leaseId) => {
          const stream = new HeartbeatClient(registry);
          expect(await stream.beat({ leaseId })).toMatchObject(
            lost(leaseId, LeaseLostReason.UNKNOWN),
          );
          expect(await stream.beat({ leaseId })).toMatchObject({ case: "leaseLost" });
          await stream.end();
        },
      );

      it("carries status, reason and load to the entry", async () => {
        const { leaseId, serviceId, status } = await registerInstance("loaded");
        const stream = new HeartbeatClient(registry);
        const load = {
          freeBytes: 5_000_000_000n,
          active: 2,
          queued: 0,
          downloadBytesPerSecond: 9n,
        };
        await stream.beat({
          leaseId,
          sequence: 1n,
          status: ServiceStatus.DEGRADED,
          statusReason: "disk almost full",
          load,
        });
        await eventually(async () => expect(await status()).toBe("DEGRADED: disk almost full"));
        // Another node learns of the load a little later.
        await eventually(async () => {
          const { downloadClients: entries } = await downloadClients.listDownloadClients({});
          const entry = entries.find((candidate) => candidate.serviceId === serviceId);
          expect(entry).toMatchObject({ availabilityReason: "disk almost full", load });
          expect(entry?.load?.uploadBytesPerSecond).toBeUndefined();
        });
        await stream.end();
      });
    });

    describe("an instance that says that it is OFFLINE", () => {
      const REASON = "download client does not answer";
      const says = { status: ServiceStatus.OFFLINE, statusReason: REASON };

      async function entryOf(serviceId: string | undefined) {
        const { downloadClients: entries } = await downloadClients.listDownloadClients({});
        return entries.find((entry) => entry.serviceId === serviceId);
      }

      it("keeps its lease, and is OFFLINE to managers until it says otherwise", async () => {
        const { leaseId, serviceId, status } = await registerInstance("says-offline");
        const stream = new HeartbeatClient(registry);
        expect(await stream.beat({ leaseId, ...says })).toMatchObject({ case: "renewed" });
        await eventually(async () => expect(await status()).toBe(`OFFLINE: ${REASON}`));
        expect(await entryOf(serviceId)).toMatchObject({
          availability: Availability.OFFLINE,
          availabilityReason: REASON,
        });
        expect(await stream.beat({ leaseId })).toMatchObject({ case: "renewed" });
        expect(await status()).toBe(`OFFLINE: ${REASON}`);
        stream.break();
        const next = new HeartbeatClient(registry);
        expect(await next.beat({ leaseId })).toMatchObject({ case: "renewed" });
        expect(await status()).toBe(`OFFLINE: ${REASON}`);
        await next.beat({ leaseId, status: ServiceStatus.ONLINE });
        await eventually(async () => expect(await status()).toBe("ONLINE: recovered"));
        await next.end();
      });

      it("may begin so with its Register, and lives through a restart of Pulse", async () => {
        const reply = await registry.register({ ...HAUL, instanceId: "begins-offline", ...says });
        expect(reply.service).toMatchObject(says);
        expect(reply.downloadClient).toMatchObject({ availability: Availability.OFFLINE });
        const leaseId = reply.lease?.id ?? "";
        await pulse.restart();
        const stream = new HeartbeatClient(registry);
        expect(await stream.beat({ leaseId })).toMatchObject({ case: "renewed" });
        expect(await entryOf(reply.service?.id)).toMatchObject({ availabilityReason: REASON });
        await stream.beat({ leaseId, goodbye: true });
        expect(await entryOf(reply.service?.id)).toMatchObject({ availabilityReason: "goodbye" });
        await stream.end();
      });
    });

    describe("goodbye", () => {
      it("turns the instance OFFLINE at once and ends the lease", async () => {
        const { leaseId, status } = await registerInstance("leaver");
        const stream = new HeartbeatClient(registry);
        await stream.beat({ leaseId, sequence: 1n });
        expect(await stream.beat({ leaseId, sequence: 2n, goodbye: true })).toMatchObject({
          case: "renewed",
          value: { sequence: 2n },
        });
        expect(await status()).toBe("OFFLINE: goodbye");
        expect(await stream.beat({ leaseId, sequence: 3n })).toMatchObject(
          lost(leaseId, LeaseLostReason.EXPIRED),
        );
        await stream.end();
      });
    });

    describe("a stream that breaks", () => {
      it.each<[string, (stream: HeartbeatClient) => unknown]>([
        ["by cancellation", (stream) => stream.break()],
        ["by half-close without goodbye", (stream) => stream.end()],
      ])(
        "%s turns the instance OFFLINE after the grace, and a heartbeat back",
        async (how, breakIt) => {
          const { leaseId, status } = await registerInstance(`broken-${how.replaceAll(" ", "-")}`);
          const stream = new HeartbeatClient(registry);
          await stream.beat({ leaseId, sequence: 1n });
          await breakIt(stream);
          expect(await status()).toBe("ONLINE: registered");
          await eventually(async () => expect(await status()).toBe("OFFLINE: disconnected"));
          const next = new HeartbeatClient(registry);
          expect(await next.beat({ leaseId, sequence: 2n })).toMatchObject({ case: "renewed" });
          await eventually(async () => expect(await status()).toBe("ONLINE: returned"));
          await next.end();
        },
      );
    });

    describe("a newer Register", () => {
      it("supersedes the lease, and tells the older stream unasked", async () => {
        const old = await registerInstance("shared");
        const stream = new HeartbeatClient(registry);
        await stream.beat({ leaseId: old.leaseId, sequence: 1n });
        const next = await registerInstance("shared");
        expect(await stream.event()).toMatchObject(lost(old.leaseId, LeaseLostReason.SUPERSEDED));
        expect(await stream.beat({ leaseId: old.leaseId, sequence: 2n })).toMatchObject(
          lost(old.leaseId, LeaseLostReason.SUPERSEDED),
        );
        expect(await stream.beat({ leaseId: next.leaseId, sequence: 1n })).toMatchObject({
          case: "renewed",
        });
        await stream.end();
      });
    });

    describe("Deregister", () => {
      it("is told to the stream unasked, and a late heartbeat does not bring the service back", async () => {
        const { leaseId, serviceId, instanceId } = await registerInstance("removed");
        const stream = new HeartbeatClient(registry);
        await stream.beat({ leaseId, sequence: 1n });
        await registry.deregister({ instanceId, instanceSecret: HAUL.instanceSecret });
        expect(await stream.event()).toMatchObject(lost(leaseId, LeaseLostReason.DEREGISTERED));
        expect(await stream.beat({ leaseId, sequence: 2n })).toMatchObject({ case: "leaseLost" });
        expect(await failure(registry.getService({ id: serviceId ?? "" }))).toMatchObject({
          code: "NotFound",
        });
        await stream.end();
      });
    });

    describe("a restart of Pulse", () => {
      it("says draining, ends the stream with UNAVAILABLE and RetryInfo, and forgets no lease", async () => {
        const { leaseId, status } = await registerInstance("through-a-restart");
        const stream = new HeartbeatClient(registry);
        await stream.beat({ leaseId, sequence: 1n });
        const restarted = pulse.restart();
        expect(await stream.event()).toMatchObject({
          case: "draining",
          value: { retryAfter: { seconds: 1n } },
        });
        expect(await failure(stream.event())).toMatchObject({
          code: "Unavailable",
          reason: "DRAINING",
          retryAfterMs: 1_000,
        });
        await restarted;
        const next = new HeartbeatClient(registry);
        expect(await next.beat({ leaseId, sequence: 2n })).toMatchObject({ case: "renewed" });
        expect(await status()).toBe("ONLINE: registered");
        await next.end();
      });
    });
  },
  ["gRPC"],
);
