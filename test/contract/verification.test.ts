import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import type { RegisterRequestSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, LONG_TTL } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { WatchReader } from "../support/watch-reader.js";

// When the credentials of a download client were last accepted. Only gRPC: HTTP/1.1
// cannot carry the heartbeats.
describeContract(
  ({ start }) => {
    let pulse: PulseUnderTest;
    let clients: Clients;
    beforeAll(async () => {
      pulse = await start();
      clients = pulse.clients("gRPC", await pulse.fileToken("admin"));
    });
    afterAll(() => pulse?.stop());

    const { VERIFIED, REJECTED } = CredentialState;

    /** Registers a download client of that name, and returns its entry's id and its lease. */
    async function register(
      name: string,
      change: Omit<MessageInitShape<typeof RegisterRequestSchema>, "$typeName"> = {},
      url?: string,
    ) {
      const { downloadClient, lease, revision } = await clients.registry.register({
        ...HAUL,
        service: { ...HAUL.service, name, ...(url && { apiUrl: url }) },
        instanceId: `instance-of-${name}`,
        requestedTtl: LONG_TTL,
        ...change,
      });
      return { id: downloadClient?.id ?? "", leaseId: lease?.id ?? "", revision, downloadClient };
    }
    async function entryOf(id: string) {
      const { downloadClients } = await clients.downloadClients.listDownloadClients({});
      const entry = downloadClients.find((each) => each.id === id);
      if (!entry) throw new Error(`there is no entry ${id}`);
      return entry;
    }
    const verifiedAt = async (id: string) => {
      const { lastVerifiedTime } = await entryOf(id);
      return lastVerifiedTime && timestampMs(lastVerifiedTime);
    };

    it("is told by a Register, until it brings others or says that they are rejected", async () => {
      const { id } = await register("by-register");
      expect(await verifiedAt(id)).toBeUndefined();
      const since = Date.now();
      const { downloadClient } = await register("by-register", { credentialState: VERIFIED });
      const at = await verifiedAt(id);
      expect(at).toBeGreaterThanOrEqual(since);
      expect(downloadClient?.lastVerifiedTime).toEqual((await entryOf(id)).lastVerifiedTime);
      await register("by-register");
      expect(await verifiedAt(id)).toBe(at);
      await register("by-register", { serviceApiKey: "another" });
      expect(await verifiedAt(id)).toBeUndefined();
      await register("by-register", { credentialState: VERIFIED });
      await register("by-register", { credentialState: REJECTED });
      expect(await verifiedAt(id)).toBeUndefined();
    });

    it("is told by a heartbeat, which is no change, and by the next snapshot", async () => {
      const { id, leaseId } = await register("by-heartbeat", { credentialState: VERIFIED });
      const [before, registeredAt = 0] = [await entryOf(id), await verifiedAt(id)];
      const stream = new HeartbeatClient(clients.registry);
      await eventually(async () => {
        await stream.beat({ leaseId, credentialState: VERIFIED });
        expect(await verifiedAt(id)).toBeGreaterThan(registeredAt);
      }, 12_000); // another node is told every 2 s
      const after = await entryOf(id);
      expect([after.etag, after.updateTime]).toEqual([before.etag, before.updateTime]);
      const watch = new WatchReader((options) =>
        clients.downloadClients.watchDownloadClients({}, options),
      );
      const { downloadClients: shown } = await watch.snapshot();
      const seen = shown.find((entry) => entry.id === id)?.lastVerifiedTime;
      expect(seen && timestampMs(seen)).toBeGreaterThan(registeredAt);
      watch.close();
      await stream.beat({ leaseId, goodbye: true });
      expect(await verifiedAt(id)).toBeGreaterThan(registeredAt);
      await stream.end();
    });

    it("is found by TestDownloadClient, for an operator's credentials and for a service's", async () => {
      const client = new FakeQBittorrent();
      const url = await serve(client.listener);
      const right = { serviceUsername: "admin", serviceApiKey: "right" };
      const { id } = await register("by-test", right, url);
      const { etag } = await entryOf(id);
      const { downloadClients } = clients;
      await downloadClients.testDownloadClient({ id });
      // The node that tested it knows: one of two that are asked in turn.
      expect([await verifiedAt(id), await verifiedAt(id)]).toContainEqual(expect.any(Number));
      expect(await entryOf(id)).toMatchObject({ etag });

      const downloadClient = { id, overrides: { password: "wrong" } };
      const updateMask = { paths: ["overrides.password"] };
      await downloadClients.updateDownloadClient({ downloadClient, updateMask });
      expect(await verifiedAt(id)).toBeUndefined();
      await downloadClients.testDownloadClient({ id });
      expect(await entryOf(id)).toMatchObject({ credentialState: REJECTED });
      expect(await verifiedAt(id)).toBeUndefined();
      downloadClient.overrides.password = "right";
      await downloadClients.updateDownloadClient({ downloadClient, updateMask });
      await downloadClients.testDownloadClient({ id });
      expect(await entryOf(id)).toMatchObject({ credentialState: VERIFIED });
      expect(await verifiedAt(id)).toBeDefined();
    });
  },
  ["gRPC"],
);
