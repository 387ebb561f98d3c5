import { afterAll, beforeAll, expect, it } from "vitest";
import {
  AuthScheme,
  Availability,
  CredentialState,
  Source,
} from "../../gen/pulse/v1/download_client_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { type Clients, HAUL } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

// The same promises by every protocol: what differs is only how the bytes travel.
describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  let { registry, downloadClients }: Clients = {} as Clients;
  beforeAll(async () => {
    pulse = await start();
    ({ registry, downloadClients } = pulse.clients(protocol, await pulse.fileToken("service")));
  });
  afterAll(() => pulse.stop());

  /** A Register of an instance of its own. */
  const other = (name: string, change: object = {}) => ({
    ...HAUL,
    service: { ...HAUL.service, name },
    instanceId: `instance of ${name}`.replaceAll(" ", "-"),
    ...change,
  });
  const entryOf = async (serviceId: string | undefined) =>
    (await downloadClients.listDownloadClients({})).downloadClients.find(
      (entry) => entry.serviceId === serviceId,
    );

  it("Register returns the service, its lease, and the entry without credentials", async () => {
    const reply = await registry.register(HAUL);
    expect(reply.service).toMatchObject({
      instanceId: HAUL.instanceId,
      spec: HAUL.service,
      status: ServiceStatus.ONLINE,
      statusReason: "registered",
      generation: 1n,
    });
    expect(reply.lease).toMatchObject({
      ttl: { seconds: 15n },
      heartbeatInterval: { seconds: 5n },
    });
    expect(reply.lease?.id).not.toBe("");
    expect(reply.generation).toBe(1n);
    expect(reply.epoch).not.toBe("");
    expect(reply.revision).toBe(reply.service?.revision);
    expect(reply.instanceSecret).toBe("");
    expect(reply.downloadClient).toMatchObject({ name: "haul", username: "", password: "" });
  });

  it("ListDownloadClients shows the entry with all that a manager needs to log in", async () => {
    const { service } = await registry.register(HAUL);
    expect(await entryOf(service?.id)).toMatchObject({
      name: "haul",
      kind: "qbittorrent",
      protocol: Protocol.TORRENT,
      host: "192.168.1.10",
      port: 8080,
      useSsl: false,
      urlBase: "/qbt",
      username: "admin",
      password: "the-api-key-of-haul",
      authScheme: AuthScheme.SESSION,
      enabled: true,
      priority: 50,
      source: Source.AUTO,
      availability: Availability.ONLINE,
      credentialState: CredentialState.UNVERIFIED,
      version: "4.5.2",
    });
  });

  it("the same Register again leaves one service and one entry", async () => {
    const first = await registry.register(other("again"));
    const second = await registry.register(other("again"));
    expect(second.service?.id).toBe(first.service?.id);
    expect(second.generation).toBe(first.generation + 1n);
    expect(second.revision).toBe(first.revision + 1n);
    expect(second.downloadClient?.etag).toBe(first.downloadClient?.etag);
  });

  it("the same Register twice at once, on two connections, leaves one service and one entry", async () => {
    const { registry: second } = pulse.clients(protocol, await pulse.fileToken("service"));
    const replies = await Promise.all([
      registry.register(other("twice")),
      second.register(other("twice")),
    ]);
    expect(new Set(replies.map(({ service }) => service?.id)).size).toBe(1);
    expect(replies.map(({ generation }) => generation).sort()).toEqual([1n, 2n]);
    expect(new Set(replies.map(({ downloadClient }) => downloadClient?.id)).size).toBe(1);
  });

  it("two instances of one name are two services with two entries", async () => {
    const [one, two] = [
      await registry.register(other("double")),
      await registry.register({ ...other("double"), instanceId: "the-second" }),
    ];
    expect([one.downloadClient?.name, two.downloadClient?.name]).toEqual(["double", "double-2"]);
  });

  it("an API key is kept if absent and cleared if empty", async () => {
    const { service } = await registry.register(other("keys"));
    const { serviceApiKey: _, ...withoutKey } = other("keys");
    await registry.register(withoutKey);
    expect((await entryOf(service?.id))?.password).toBe("the-api-key-of-haul");
    await registry.register(other("keys", { serviceApiKey: "", serviceUsername: "" }));
    expect(await entryOf(service?.id)).toMatchObject({
      username: "",
      password: "",
      authScheme: AuthScheme.NONE,
    });
  });

  it("another secret for an instance is refused and changes nothing", async () => {
    const { service } = await registry.register(other("pinned"));
    const stolen = { ...other("pinned"), serviceApiKey: "stolen" };
    for (const instanceSecret of ["another secret, long enough", ""])
      expect(await failure(registry.register({ ...stolen, instanceSecret }))).toMatchObject({
        code: "PermissionDenied",
        reason: "SECRET_MISMATCH",
      });
    const { service: now } = await registry.getService({ id: service?.id ?? "" });
    expect(now?.generation).toBe(1n);
    expect((await entryOf(service?.id))?.password).toBe("the-api-key-of-haul");
  });

  it("without an instance id the identity is (type, name), until a pinned instance has it", async () => {
    const anonymous = { service: { ...HAUL.service, name: "by name" } };
    const first = await registry.register(anonymous);
    const again = await registry.register(anonymous);
    expect(again.service?.id).toBe(first.service?.id);
    await registry.register({ ...other("by name"), instanceId: "owner-of-the-name" });
    expect(await failure(registry.register(anonymous))).toMatchObject({
      code: "PermissionDenied",
      reason: "IDENTITY_PINNED",
    });
  });

  it("Pulse makes a secret for an instance id that brings none, and says it once", async () => {
    const { instanceSecret: _, ...request } = other("no secret");
    const first = await registry.register(request);
    expect(first.instanceSecret.length).toBeGreaterThanOrEqual(16);
    const again = await registry.register({ ...request, instanceSecret: first.instanceSecret });
    expect(again.instanceSecret).toBe("");
  });

  it("an asked TTL is granted, with a third of it as interval", async () => {
    const { lease } = await registry.register(
      other("ttl", { requestedTtl: { seconds: 60n, nanos: 0 } }),
    );
    expect(lease).toMatchObject({ ttl: { seconds: 60n }, heartbeatInterval: { seconds: 20n } });
  });

  it("Deregister removes service and entry, and again says that nothing was there", async () => {
    const request = other("leaving");
    const { service, revision } = await registry.register(request);
    const { instanceId, instanceSecret } = request;
    expect(await failure(registry.deregister({ instanceId }))).toMatchObject({
      code: "PermissionDenied",
      reason: "SECRET_MISMATCH",
    });
    const gone = await registry.deregister({ instanceId, instanceSecret });
    expect(gone).toMatchObject({ removed: true, revision: revision + 1n });
    expect(await entryOf(service?.id)).toBeUndefined();
    expect(await failure(registry.getService({ id: service?.id ?? "" }))).toMatchObject({
      code: "NotFound",
      reason: "NOT_FOUND",
    });
    expect((await registry.deregister({ instanceId, instanceSecret })).removed).toBe(false);
  });

  it("an admin deregisters without the secret", async () => {
    const request = other("removed by hand");
    await registry.register(request);
    const admin = pulse.clients(protocol, await pulse.fileToken("admin"));
    const reply = await admin.registry.deregister({ instanceId: request.instanceId });
    expect(reply.removed).toBe(true);
  });

  it("lists filter, and come in pages without a gap or a double", async () => {
    for (let n = 1; n <= 5; n++)
      await registry.register(
        other(`paged ${n}`, {
          service: {
            name: `paged-${n}`,
            type: "media-manager",
            capabilities: n % 2 ? ["tv", "odd"] : ["tv"],
          },
        }),
      );
    const filter = { type: "media-manager", capabilities: ["tv"] };
    const ids: string[] = [];
    let pages = 0;
    for (let pageToken = ""; pages === 0 || pageToken !== ""; pages++) {
      const page = await registry.listServices({ ...filter, pageSize: 2, pageToken });
      ids.push(...page.services.map(({ id }) => id));
      pageToken = page.nextPageToken;
    }
    expect([ids.length, new Set(ids).size, pages]).toEqual([5, 5, 3]);
    const odd = await registry.listServices({ type: "media-manager", capabilities: ["tv", "odd"] });
    expect(odd.services.map(({ spec }) => spec?.name).sort()).toEqual([
      "paged-1",
      "paged-3",
      "paged-5",
    ]);
    const offline = await registry.listServices({ ...filter, statuses: [ServiceStatus.OFFLINE] });
    expect(offline.services).toEqual([]);
    expect(offline.revision).toBeGreaterThan(0n);
  });

  it("ListDownloadClients filters by protocol, kind, availability and enabled", async () => {
    await registry.register(
      other("usenet one", { service: { ...HAUL.service, name: "nzb", kind: "sabnzbd" } }),
    );
    const names = async (filter: object) =>
      (await downloadClients.listDownloadClients(filter)).downloadClients.map(({ name }) => name);
    expect(await names({ protocol: Protocol.USENET })).toEqual(["nzb"]);
    expect(await names({ kinds: ["sabnzbd", "nzbget"] })).toEqual(["nzb"]);
    expect(await names({ kinds: ["deluge"] })).toEqual([]);
    expect(await names({ availabilities: [Availability.OFFLINE] })).toEqual([]);
    expect(await names({ enabled: false })).toEqual([]);
    expect(await names({ enabled: true, protocol: Protocol.USENET })).toEqual(["nzb"]);
  });
});
