import { toJsonString } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ListDownloadClientsResponseSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import {
  LeaseLostReason,
  ListServicesResponseSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { connectPulse, type PulseConnection } from "../../src/client/index.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { monotonicNow } from "../support/members.js";
import { HAUL } from "../support/pulse.js";
import { Stack } from "../support/stack.js";
import { failure } from "../support/status.js";

// Who is who: by its identity, and never by a name or a token.

const TEST_TIMEOUT = { timeout: 120_000 };
/** A Haul that registers itself needs no download client. */
const ALONE = { PATH: "" };

/** Starts a Haul called `haul` on that state directory; resolves when it is registered. */
async function startHaul(stack: Stack, state: string) {
  const haul = await stack.startHaul(state, [], ALONE);
  const { serviceId, instanceId, entryName } = await haul.line("haul.registered");
  return { haul, known: { serviceId, instanceId, entryName } };
}

/** All that Pulse shows of its services and entries, but for when it heard of them last. */
async function shown({ downloadClients, registry }: PulseConnection): Promise<string[]> {
  const clients = await downloadClients.listDownloadClients({ showDeleted: true });
  const services = await registry.listServices({});
  for (const service of services.services) delete service.lastSeenTime;
  return [
    toJsonString(ListDownloadClientsResponseSchema, clients),
    toJsonString(ListServicesResponseSchema, services),
  ];
}

describe("an identity", () => {
  it.concurrent(
    "#19 two Hauls of one name are two instances with two entries, each with its name for ever",
    TEST_TIMEOUT,
    async ({ onTestFinished }) => {
      const stack = await Stack.create();
      onTestFinished(() => stack.stop());
      let pulse = await stack.startPulse();
      // At the same moment: who comes first is anybody's guess.
      let [one, two] = await Promise.all([startHaul(stack, "one"), startHaul(stack, "two")]);
      const known = [one.known, two.known];
      expect(known.map(({ entryName }) => entryName).sort()).toEqual(["haul", "haul-2"]);
      expect(one.known.serviceId).not.toBe(two.known.serviceId);
      expect(one.known.instanceId).not.toBe(two.known.instanceId);
      const ids = async () =>
        [...(await stack.entries())].map(([name, entry]) => [name, entry.id, entry.serviceId]);
      const before = await ids();
      expect(before).toHaveLength(2);

      // Back in the other order, one of them after a crash, and Pulse, too.
      await two.haul.stop();
      for (const program of [one.haul, pulse]) {
        program.kill("SIGKILL");
        await program.exit;
      }
      pulse = await stack.startPulse();
      two = await startHaul(stack, "two");
      one = await startHaul(stack, "one");
      expect([one.known, two.known]).toEqual(known);
      expect(await ids()).toEqual(before);

      // A name waits for its owner, also if that was removed.
      const admin = connectPulse({ pulse: stack.url, token: await stack.token("admin") });
      onTestFinished(() => admin.close());
      await one.haul.stop();
      const instanceId = String(one.known.instanceId);
      expect(await admin.registry.deregister({ instanceId })).toMatchObject({ removed: true });
      const third = await startHaul(stack, "three");
      expect(third.known.entryName).toBe("haul-3");
      one = await startHaul(stack, "one");
      expect(one.known).toEqual(known[0]);
      expect((await ids()).slice(0, 2)).toEqual(before);
    },
  );

  it.concurrent(
    "#20 is its owner's: whoever else has a token is refused it, and its owner notices nothing",
    TEST_TIMEOUT,
    async ({ onTestFinished }) => {
      const stack = await Stack.create();
      onTestFinished(() => stack.stop());
      await stack.startPulse();
      const victims = await stack.startMembers({ prefix: "victim", count: 1, apiKey: "its-key" });
      await victims.areRegistered();
      const [registered] = victims.events();
      const leaseId = registered?.leaseId ?? "";
      await stack.hasHeartbeat(registered?.serviceId ?? "");
      const thief = stack.connect();
      const { registry } = thief;
      const before = await shown(thief);
      const secretMismatch = { code: "PermissionDenied", reason: "SECRET_MISMATCH" };
      const [service, secret] = [
        { ...HAUL.service, name: "victim-0" },
        "another secret, 16 or more",
      ];
      const claim = { ...HAUL, service, instanceId: "victim-0" };

      async function isRefused(): Promise<void> {
        for (const instanceSecret of [secret, ""]) {
          expect(await failure(registry.register({ ...claim, instanceSecret }))).toMatchObject(
            secretMismatch,
          );
          const removal = registry.deregister({ instanceId: "victim-0", instanceSecret });
          expect(await failure(removal)).toMatchObject(secretMismatch);
        }
      }

      await isRefused();
      const byName = registry.register({ service, serviceApiKey: "another-key" });
      expect(await failure(byName)).toMatchObject({
        code: "PermissionDenied",
        reason: "IDENTITY_PINNED",
      });
      // Its lease cannot be renewed or ended by whoever can only guess its id.
      const guessed = leaseId.replace(/[^.]+$/, (random) => "A".repeat(random.length));
      const stream = new HeartbeatClient(registry);
      for (const goodbye of [false, true])
        expect(await stream.beat({ leaseId: guessed, sequence: 1n, goodbye })).toEqual({
          case: "leaseLost",
          value: expect.objectContaining({ leaseId: guessed, reason: LeaseLostReason.UNKNOWN }),
        });
      await stream.end();
      // Nor is its id shown, or whoever reads lists could.
      expect(leaseId.split(".")).toHaveLength(3);
      expect(before.join()).toContain(leaseId.split(".")[0]);
      expect(before.join()).not.toContain(leaseId.split(".")[2]);

      expect(new Set(await stack.reasons("victim-0"))).toEqual(new Set(["registered"]));
      // Revision and resume token are among what is shown: there was not one commit.
      expect(await shown(thief)).toEqual(before);
      expect(victims.events()).toEqual([registered]);
      const heartbeatAt = async () => {
        const { services } = await registry.listServices({});
        return services[0]?.lastSeenTime;
      };
      const lastSeen = await heartbeatAt();
      await eventually(async () => expect(await heartbeatAt()).not.toEqual(lastSeen));
      expect(victims.events()).toEqual([registered]);

      // Nor while its owner is away.
      await victims.kill();
      await stack.entryIs("victim-0", "OFFLINE");
      const away = await shown(thief);
      await isRefused();
      expect(await shown(thief)).toEqual(away);
      const sinceAt = monotonicNow();
      const back = await stack.startMembers({ prefix: "victim", count: 1, apiKey: "its-key" });
      await back.each("registered", sinceAt);
      expect(await stack.entryIs("victim-0", "ONLINE")).toMatchObject({ password: "its-key" });
    },
  );
});
