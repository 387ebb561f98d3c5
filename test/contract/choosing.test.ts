import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { DownloadClientOrder } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import { eventually } from "../support/eventually.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, LONG_TTL } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";
import { WatchReader } from "../support/watch-reader.js";

const { NAME, FREE_SPACE, LOAD } = DownloadClientOrder;
const { UNVERIFIED, VERIFIED, REJECTED } = CredentialState;

/** How a manager finds the client that is best for it. */
describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  let admin: Clients;
  let beats: HeartbeatClient;
  beforeAll(async () => {
    pulse = await start({ watch: { bookmarkIntervalMs: 150 } });
    admin = pulse.clients(protocol, await pulse.fileToken("admin"));
    // A stream in both directions needs HTTP/2.
    beats = new HeartbeatClient(pulse.clients("gRPC", await pulse.fileToken("admin")).registry);
  });
  afterAll(async () => {
    beats.break();
    await pulse.stop();
  });

  const haul = (name: string, change: object = {}) => ({
    ...HAUL,
    service: { ...HAUL.service, name },
    instanceId: `instance of ${name}`.replaceAll(" ", "-"),
    requestedTtl: LONG_TTL,
    ...change,
  });

  const sequences = new Map<string, bigint>();
  async function say(leaseId: string, load: MessageInitShape<typeof LoadSchema>): Promise<void> {
    const sequence = (sequences.get(leaseId) ?? 0n) + 1n;
    sequences.set(leaseId, sequence);
    expect(await beats.beat({ leaseId, sequence, load })).toMatchObject({ case: "renewed" });
  }

  async function add(name: string, load?: MessageInitShape<typeof LoadSchema>): Promise<string> {
    const { lease } = await admin.registry.register(haul(name));
    if (load) await say(lease?.id ?? "", load);
    return lease?.id ?? "";
  }

  async function names(request: object): Promise<string[]> {
    const { downloadClients } = await admin.downloadClients.listDownloadClients(request);
    return downloadClients.map(({ name }) => name);
  }

  async function pages(request: object, between = async (_page: number) => {}): Promise<string[]> {
    const all: string[] = [];
    let pageToken = "";
    for (let page = 0; page === 0 || pageToken !== ""; page++) {
      const reply = await admin.downloadClients.listDownloadClients({ ...request, pageToken });
      all.push(...reply.downloadClients.map(({ name }) => name));
      pageToken = reply.nextPageToken;
      await between(page);
    }
    return all;
  }

  describe("an order", () => {
    const kinds = { kinds: ["qbittorrent"] };
    let roomy = "";
    beforeAll(async () => {
      await add("silent");
      await add("full", { freeBytes: 0n, active: 0, queued: 0, downloadBytesPerSecond: 9n });
      roomy = await add("roomy", { freeBytes: 2n ** 63n, active: 20, queued: 1 });
      await add("idle", { freeBytes: 500n, active: 0, queued: 0, downloadBytesPerSecond: 0n });
      await add("twin b", { freeBytes: 7n, active: 3, queued: 4 });
      await add("twin a", { freeBytes: 7n, active: 4, queued: 3 });
      const { downloadClients } = await admin.downloadClients.listDownloadClients(kinds);
      const preferred = downloadClients.find(({ name }) => name === "twin b");
      await admin.downloadClients.updateDownloadClient({
        downloadClient: { id: preferred?.id ?? "", priority: 1 },
        updateMask: { paths: ["priority"] },
      });
    });

    const BY_SPACE = ["roomy", "idle", "twin b", "twin a", "full", "silent"];
    const BY_LOAD = ["idle", "full", "twin b", "twin a", "roomy", "silent"];

    it("is by name, unless another is asked for", async () => {
      const byName = BY_SPACE.toSorted();
      expect(await names(kinds)).toEqual(byName);
      expect(await names({ ...kinds, order: NAME })).toEqual(byName);
    });

    it("by free space or load has the best first, and of whom nobody knows last", () =>
      // Nodes tell each other of loads now and then.
      eventually(async () => {
        for (let node = 0; node < 2; node++) {
          expect(await names({ ...kinds, order: FREE_SPACE })).toEqual(BY_SPACE);
          expect(await names({ ...kinds, order: LOAD })).toEqual(BY_LOAD);
        }
      }));

    it("holds across pages, of any size", async () => {
      for (const pageSize of [1, 2, 3, 6]) {
        expect(await pages({ ...kinds, order: FREE_SPACE, pageSize })).toEqual(BY_SPACE);
        expect(await pages({ ...kinds, order: LOAD, pageSize })).toEqual(BY_LOAD);
      }
    });

    it("finds the best one that fits with a page of one", async () => {
      const best = { order: LOAD, pageSize: 1, enabled: true, ...kinds };
      expect(await names(best)).toEqual(["idle"]);
      expect(await names({ ...best, kinds: ["deluge"] })).toEqual([]);
    });

    it("goes on behind what was sent, though that has gone, another has come, and one is busier", async () => {
      const seen = await pages({ ...kinds, order: FREE_SPACE, pageSize: 2 }, async (page) => {
        if (page !== 0) return;
        const { instanceId, instanceSecret } = haul("idle");
        await admin.registry.deregister({ instanceId, instanceSecret });
        expect(await beats.event()).toMatchObject({ case: "leaseLost" });
        await add("newcomer", { freeBytes: 6n });
      });
      // Of the load of the new one, not every node may have heard yet.
      expect(seen.filter((name) => name !== "newcomer")).toEqual(BY_SPACE);
      expect(seen).toContain("newcomer");

      await say(roomy, { freeBytes: 1n, active: 0, queued: 0 });
      await eventually(async () => {
        for (let node = 0; node < 2; node++)
          expect((await names({ ...kinds, order: FREE_SPACE })).slice(0, 1)).toEqual(["twin b"]);
      });
    });

    it("knows its own page tokens alone", async () => {
      const list = (order: DownloadClientOrder, pageToken = "") =>
        admin.downloadClients.listDownloadClients({ ...kinds, order, pageToken, pageSize: 1 });
      const orders = [NAME, FREE_SPACE, LOAD];
      for (const order of orders) {
        const { nextPageToken } = await list(order);
        for (const other of orders.filter((each) => each !== order))
          expect(await failure(list(other, nextPageToken))).toMatchObject({
            code: "InvalidArgument",
            fields: ["page_token"],
          });
        expect((await list(order, nextPageToken)).downloadClients).toHaveLength(1);
      }
      const { nextPageToken } = await list(DownloadClientOrder.UNSPECIFIED);
      expect((await list(NAME, nextPageToken)).downloadClients).toHaveLength(1);
    });
  });

  describe("a filter by what is known of credentials", () => {
    const credentialStates = [VERIFIED];
    const proven = (state: CredentialState, change: object = {}) => {
      const request = haul("proven", change);
      const service = { ...request.service, kind: "deluge" };
      return admin.registry.register({ ...request, service, credentialState: state });
    };
    const kinds = { kinds: ["deluge", "nzbget"] };

    it("lists only those of whom it is known", async () => {
      await proven(VERIFIED);
      await admin.downloadClients.createDownloadClient({
        downloadClient: { name: "by hand", kind: "nzbget", host: "nas", port: 6789 },
      });
      expect(await names({ ...kinds, credentialStates })).toEqual(["proven"]);
      expect(await names({ ...kinds, credentialStates: [UNVERIFIED] })).toEqual(["by hand"]);
      expect(await names({ ...kinds, credentialStates: [REJECTED] })).toEqual([]);
      expect(await names({ ...kinds, credentialStates: [VERIFIED, UNVERIFIED] })).toEqual([
        "by hand",
        "proven",
      ]);
      expect(await names(kinds)).toEqual(["by hand", "proven"]);
    });

    it("of a watch tells of those that come to it, and takes away those that leave it", async () => {
      await proven(REJECTED);
      const request = { ...kinds, credentialStates };
      const open = (resumeToken = "") => {
        const watch = new WatchReader((options) =>
          admin.downloadClients.watchDownloadClients({ ...request, resumeToken }, options),
        );
        onTestFinished(() => watch.close());
        return watch;
      };
      const watch = open();
      expect((await watch.snapshot()).downloadClients).toEqual([]);
      await proven(VERIFIED);
      expect(await watch.change()).toMatchObject({
        what: "PUT: re-registered",
        downloadClient: { name: "proven", credentialState: VERIFIED },
      });
      const { token } = watch;
      // Another key is unverified until somebody says better.
      await proven(CredentialState.UNSPECIFIED, { serviceApiKey: "another" });
      const gone = { what: "DELETE: re-registered", downloadClient: { name: "proven" } };
      expect(await watch.change()).toMatchObject(gone);
      expect(await open(token).change()).toMatchObject(gone);
    });
  });
});
