import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Availability } from "../../gen/pulse/v1/download_client_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { HeartbeatClient } from "../support/heartbeat-client.js";
import { type Clients, HAUL, LONG_TTL, Scope, TestPulse } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";
import { WatchReader } from "../support/watch-reader.js";

/** A Register of an instance of its own. */
const haul = (name: string, change: object = {}) => ({
  ...HAUL,
  service: { ...HAUL.service, name },
  instanceId: `instance-of-${name}`,
  requestedTtl: LONG_TTL,
  ...change,
});

describeContract(({ protocol, start }) => {
  /** What HTTP/1.1 cannot carry, or what is the same by every protocol. */
  const onGrpc = protocol === "gRPC" ? it : () => {};
  let pulse: PulseUnderTest;
  let clients: Clients;
  let admin: Clients;
  beforeAll(async () => {
    pulse = await start({ requireApproval: true });
    clients = pulse.clients(protocol, await pulse.fileToken("service"));
    admin = pulse.clients(protocol, await pulse.fileToken("admin"));
  });
  afterAll(() => pulse.stop());

  const entriesNamed = async (name: string, showDeleted = false) =>
    (await clients.downloadClients.listDownloadClients({ showDeleted })).downloadClients.filter(
      (entry) => entry.name === name,
    );
  const servicesNamed = async (name: string, ...statuses: ServiceStatus[]) =>
    (await clients.registry.listServices({ statuses })).services.filter(
      ({ spec }) => spec?.name === name,
    );

  it("a first Register waits: it has a lease, and nobody sees an entry of it", async () => {
    const reply = await clients.registry.register(haul("new"));
    expect(reply.service).toMatchObject({
      status: ServiceStatus.PENDING,
      statusReason: `waits for approval: pulse services approve ${reply.service?.id}`,
    });
    expect(reply.lease?.id).not.toBe("");
    expect(reply.downloadClient).toBeUndefined();
    expect(await entriesNamed("new")).toEqual([]);
    const again = await clients.registry.register(haul("new"));
    expect(again.service?.status).toBe(ServiceStatus.PENDING);
    expect(again.downloadClient).toBeUndefined();
  });

  it("who asks for hidden entries sees that it waits, but never its credentials", async () => {
    const { service } = await clients.registry.register(haul("hidden"));
    const hidden = await entriesNamed("hidden", true);
    expect(hidden).toMatchObject([
      {
        hidden: true,
        username: "",
        password: "",
        availability: Availability.OFFLINE,
        availabilityReason: service?.statusReason,
      },
    ]);
    // Nor in the answer to an operator's own edit.
    const edited = await admin.downloadClients.updateDownloadClient({
      downloadClient: { id: hidden[0]?.id ?? "", priority: 7 },
      updateMask: { paths: ["priority"] },
    });
    expect(edited.downloadClient).toMatchObject({ priority: 7, username: "", password: "" });
  });

  it("lists of services filter by what is shown", async () => {
    await clients.registry.register(haul("listed"));
    const { ONLINE, PENDING, OFFLINE } = ServiceStatus;
    expect(await servicesNamed("listed", PENDING)).toHaveLength(1);
    expect(await servicesNamed("listed", OFFLINE, PENDING)).toHaveLength(1);
    expect(await servicesNamed("listed", ONLINE)).toEqual([]);
    expect(await servicesNamed("listed")).toMatchObject([{ status: PENDING }]);
  });

  it("an approval shows it at once, to watchers too, with the operator's name", async () => {
    const registered = await clients.registry.register(haul("approved"));
    const id = registered.service?.id ?? "";
    const entries = new WatchReader((options) =>
      clients.downloadClients.watchDownloadClients({}, options),
    );
    const waiting = new WatchReader((options) =>
      clients.registry.watchServices({ statuses: [ServiceStatus.PENDING] }, options),
    );
    onTestFinished(() => void entries.close());
    onTestFinished(() => void waiting.close());
    await entries.snapshot();
    await waiting.snapshot();

    const approved = await admin.registry.approveService({ id });
    expect(approved.service).toMatchObject({
      status: ServiceStatus.ONLINE,
      statusReason: "registered",
    });
    expect(approved.revision).toBe(registered.revision + 1n);
    const { revision } = approved;
    expect(await entries.change()).toMatchObject({
      what: "PUT: approved by admin",
      revision,
      downloadClient: { name: "approved", password: HAUL.serviceApiKey, hidden: false },
    });
    expect(await waiting.change()).toMatchObject({
      what: "DELETE: approved by admin",
      revision,
      service: { id },
    });
    expect(await entriesNamed("approved")).toHaveLength(1);

    expect((await admin.registry.approveService({ id })).revision).toBe(revision);
    const later = await clients.registry.register(haul("approved"));
    expect(later.service?.status).toBe(ServiceStatus.ONLINE);
    expect(later.downloadClient?.name).toBe("approved");
  });

  it("what is approved and registers without a secret waits again when it moves", async () => {
    const at = (apiUrl: string) => ({
      service: { ...HAUL.service, name: "moving", apiUrl },
      requestedTtl: LONG_TTL,
    });
    const { service } = await clients.registry.register(at("http://nas:8080"));
    await admin.registry.approveService({ id: service?.id ?? "" });
    const stayed = await clients.registry.register(at("http://nas:8080/qbt"));
    expect(stayed.service?.status).toBe(ServiceStatus.ONLINE);
    const moved = await clients.registry.register(at("http://evil:8080"));
    expect(moved.service?.status).toBe(ServiceStatus.PENDING);
    expect(await entriesNamed("moving")).toEqual([]);
  });

  it("waits again after it was deregistered", async () => {
    const request = haul("returning");
    const { service } = await clients.registry.register(request);
    await admin.registry.approveService({ id: service?.id ?? "" });
    await clients.registry.deregister(request);
    const back = await clients.registry.register(request);
    expect(back.service?.status).toBe(ServiceStatus.PENDING);
  });

  it("needs scope admin, and an id of a service that is there", async () => {
    const { service } = await clients.registry.register(haul("guarded"));
    for (const scope of [Scope.REGISTER, Scope.DISCOVER, Scope.OBSERVE]) {
      const { registry } = pulse.clients(protocol, await pulse.token(scope));
      expect(await failure(registry.approveService({ id: service?.id ?? "" }))).toMatchObject({
        code: "PermissionDenied",
        reason: "SCOPE_MISSING",
      });
    }
    expect(await failure(admin.registry.approveService({ id: "nobody" }))).toMatchObject({
      code: "NotFound",
    });
    expect(await failure(admin.registry.approveService({}))).toMatchObject({ fields: ["id"] });
  });

  it("PENDING is no status that a Register may have", async () => {
    const status = ServiceStatus.PENDING;
    expect(await failure(clients.registry.register(haul("claims", { status })))).toMatchObject({
      code: "InvalidArgument",
      fields: ["status"],
    });
  });

  onGrpc("is heartbeated as any other, and says PENDING in vain", async () => {
    const registered = await clients.registry.register(haul("alive"));
    const leaseId = registered.lease?.id ?? "";
    const stream = new HeartbeatClient(clients.registry);
    onTestFinished(() => stream.break());
    const status = ServiceStatus.PENDING;
    expect(await stream.beat({ leaseId, status })).toMatchObject({ case: "renewed" });
    const approved = await admin.registry.approveService({ id: registered.service?.id ?? "" });
    expect(approved.service?.status).toBe(ServiceStatus.ONLINE);
    expect(await stream.beat({ leaseId, status })).toMatchObject({ case: "renewed" });
    expect(await servicesNamed("alive", ServiceStatus.ONLINE)).toHaveLength(1);
  });
});

describe("the flag", () => {
  it("leaves those approved that were there before, and approves nobody by its end", async () => {
    const options: { requireApproval: boolean } = { requireApproval: false };
    const pulse = await TestPulse.start(options);
    onTestFinished(() => pulse.stop());
    const register = async (name: string) => {
      const { registry } = pulse.clients("Connect", await pulse.fileToken("service"));
      return (await registry.register(haul(name))).service?.status;
    };
    const { ONLINE, PENDING } = ServiceStatus;
    expect(await register("old")).toBe(ONLINE);
    options.requireApproval = true;
    await pulse.restart();
    expect([await register("old"), await register("new")]).toEqual([ONLINE, PENDING]);
    options.requireApproval = false;
    await pulse.restart();
    expect([await register("new"), await register("newer")]).toEqual([PENDING, ONLINE]);
  });
});
