import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import {
  HeartbeatRequestSchema,
  HeartbeatResponseSchema,
  LeaseLostReason,
  RegisterRequestSchema,
  RegisterResponseSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import {
  type Described,
  fromHeartbeatResponse,
  fromRegisterResponse,
  toHeartbeat,
  toRegisterRequest,
} from "../../src/client/convert.js";
import type { ServiceHealth, ServiceLoad } from "../../src/client/registration.js";

const IDENTITY = { instanceId: "inst-1", instanceSecret: "s3cret-s3cret-s3cret" };
const SERVICE = { name: "haul", type: "download-client" };

/** The Register as it goes over the wire: what cannot be encoded throws. */
function registerOf(
  described: Partial<Described>,
  health?: ServiceHealth,
  ttlMs: number | undefined = undefined,
) {
  const request = create(
    RegisterRequestSchema,
    toRegisterRequest(
      { service: SERVICE, credentials: undefined, ...described },
      IDENTITY,
      health,
      ttlMs,
      undefined,
    ),
  );
  toBinary(RegisterRequestSchema, request);
  return request;
}

function beatOf(health: ServiceHealth | undefined, load?: ServiceLoad, isVerified?: boolean) {
  const beat = create(
    HeartbeatRequestSchema,
    toHeartbeat({ leaseId: "lease-1", sequence: 3 }, health, load, isVerified),
  );
  toBinary(HeartbeatRequestSchema, beat);
  return beat;
}

describe("a Register", () => {
  it("says who, what and where, and leaves out what was not given", () => {
    const request = registerOf({
      service: {
        ...SERVICE,
        kind: "flood",
        protocol: "torrent",
        capabilities: ["a"],
        metadata: { b: "c" },
      },
    });
    expect(request).toMatchObject({
      ...IDENTITY,
      service: {
        ...SERVICE,
        kind: "flood",
        protocol: Protocol.TORRENT,
        capabilities: ["a"],
        metadata: { b: "c" },
        apiUrl: "",
      },
      status: ServiceStatus.UNSPECIFIED,
      credentialState: CredentialState.UNSPECIFIED,
    });
    expect(request.requestedTtl).toBeUndefined();
  });

  it("tells an absent credential, which is kept, from an empty one, which is cleared", () => {
    const sent = (credentials: Described["credentials"]) => {
      const { serviceUsername, serviceApiKey } = registerOf({ credentials });
      return [serviceUsername, serviceApiKey];
    };
    expect(sent(undefined)).toEqual([undefined, undefined]);
    expect(sent({ apiKey: "key" })).toEqual([undefined, "key"]);
    expect(sent({ username: "", apiKey: "" })).toEqual(["", ""]);
    expect(registerOf({ credentials: { state: "rejected" } }).credentialState).toBe(
      CredentialState.REJECTED,
    );
  });

  it.each([5_000, 7_500, 20_000 / 3, 299_999.9])("can carry a TTL of %d ms", (ttlMs) => {
    const sent = registerOf({}, undefined, ttlMs).requestedTtl;
    expect(sent).toEqual(durationFromMs(Math.round(ttlMs)));
  });
});

describe("the health of a service", () => {
  it("goes with a Register and with each heartbeat, or is left as it was", () => {
    const health = { status: "degraded", reason: "disk full" } as const;
    for (const message of [registerOf({}, health), beatOf(health)])
      expect(message).toMatchObject({ status: ServiceStatus.DEGRADED, statusReason: "disk full" });
    expect(beatOf({ status: "online" })).toMatchObject({
      status: ServiceStatus.ONLINE,
      statusReason: "",
    });
    expect(beatOf(undefined)).toMatchObject({ status: ServiceStatus.UNSPECIFIED });
  });

  // Or a Register would be refused for good that repeats what heartbeats have carried for days.
  it.each([
    ["x".repeat(256), "x".repeat(256)],
    ["x".repeat(257), "x".repeat(256)],
    [`${"x".repeat(255)}🎬🎬`, `${"x".repeat(255)}🎬`],
    ["connect ECONNREFUSED\n\tat 127.0.0.1\u2028", "connect ECONNREFUSED at 127.0.0.1 "],
  ])("has a reason that Pulse takes, whatever text it was", (reason, sent) => {
    const health = { status: "degraded", reason } as const;
    for (const message of [registerOf({}, health), beatOf(health)])
      expect(message.statusReason).toBe(sent);
  });
});

describe("load", () => {
  it("is sent as measured", () => {
    const load = { freeBytes: 5e9, active: 2, queued: 0, downloadBytesPerSecond: 9 };
    expect(beatOf(undefined, load)).toMatchObject({
      leaseId: "lease-1",
      sequence: 3n,
      load: { freeBytes: 5_000_000_000n, active: 2, queued: 0, downloadBytesPerSecond: 9n },
    });
    expect(beatOf(undefined).load).toBeUndefined();
  });

  it("says that credentials were accepted, or nothing of them", () => {
    expect(beatOf(undefined, undefined, true).credentialState).toBe(CredentialState.VERIFIED);
    expect(beatOf(undefined, undefined, false).credentialState).toBe(CredentialState.UNSPECIFIED);
    expect(beatOf(undefined).credentialState).toBe(CredentialState.UNSPECIFIED);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1, -0.5, undefined])(
    "of %d is sent as unknown",
    (odd) => {
      const names = [
        "freeBytes",
        "active",
        "queued",
        "downloadBytesPerSecond",
        "uploadBytesPerSecond",
      ] as const;
      const load = Object.fromEntries(names.map((name) => [name, odd])) as ServiceLoad;
      const { load: sent } = beatOf(undefined, load);
      expect(names.map((name) => sent?.[name])).toEqual(names.map(() => undefined));
    },
  );

  it("that has fractions or is beyond its field is cut to what fits", () => {
    const load = { freeBytes: 1e300, active: 2.9, queued: 1e12, uploadBytesPerSecond: 0.9 };
    expect(beatOf(undefined, load).load).toMatchObject({
      freeBytes: BigInt(Number.MAX_SAFE_INTEGER),
      active: 2,
      queued: 4_294_967_295,
      uploadBytesPerSecond: 0n,
    });
  });
});

describe("the answer to a Register", () => {
  const answer = {
    service: { id: "svc-1", instanceId: "inst-1" },
    lease: { id: "lease-1", ttl: durationFromMs(15_000), heartbeatInterval: durationFromMs(4_000) },
    generation: 2n,
    epoch: "epoch-1",
    revision: 7n,
    downloadClient: { name: "haul-2" },
  } satisfies MessageInitShape<typeof RegisterResponseSchema>;
  const read = (change: object = {}) =>
    fromRegisterResponse(create(RegisterResponseSchema, { ...answer, ...change }));

  it("is a grant", () => {
    expect(read()).toEqual({
      type: "register-succeeded",
      grant: {
        serviceId: "svc-1",
        instanceId: "inst-1",
        leaseId: "lease-1",
        ttlMs: 15_000,
        generation: 2n,
        epoch: "epoch-1",
        revision: 7n,
        entryName: "haul-2",
      },
      intervalMs: 4_000,
    });
  });

  it("says that the service waits for approval only if it does", () => {
    const pending = { ...answer.service, status: ServiceStatus.PENDING };
    expect(read({ service: pending })).toMatchObject({ grant: { waitsForApproval: true } });
    const online = { ...answer.service, status: ServiceStatus.ONLINE };
    expect(read({ service: online })).not.toHaveProperty("grant.waitsForApproval");
  });

  it.each([
    ["no interval", undefined, 5_000],
    ["an interval of nothing", durationFromMs(0), 100],
    ["a negative interval", durationFromMs(-5_000), 100],
  ])("with %s still paces the heartbeats", (_, heartbeatInterval, intervalMs) => {
    const lease = { id: "lease-1", ttl: durationFromMs(15_000) };
    expect(read({ lease: { ...lease, ...(heartbeatInterval && { heartbeatInterval }) } })).toEqual(
      expect.objectContaining({ type: "register-succeeded", intervalMs }),
    );
  });

  it.each<[string, object]>([
    ["a service", { service: undefined }],
    ["a lease", { lease: undefined }],
    ["a lease's id", { lease: { ...answer.lease, id: "" } }],
    ["a TTL", { lease: { id: "lease-1" } }],
  ])("without %s is no grant: worth another try", (_, change) => {
    expect(read(change)).toMatchObject({
      type: "register-failed",
      failure: { kind: "transient", error: { message: /without service or lease/ } },
    });
  });
});

describe("a response on the stream", () => {
  const read = (event: MessageInitShape<typeof HeartbeatResponseSchema>["event"]) =>
    fromHeartbeatResponse(create(HeartbeatResponseSchema, event && { event }));

  it("that renews brings TTL and interval if it has them", () => {
    const value = { leaseId: "lease-1", sequence: 3n };
    const type = "acknowledged";
    expect(read({ case: "renewed", value })).toEqual({
      ...{ type, leaseId: "lease-1", sequence: 3, ttlMs: undefined, intervalMs: undefined },
    });
    const granted = { ttl: durationFromMs(60_000), heartbeatInterval: durationFromMs(1) };
    expect(read({ case: "renewed", value: { ...value, ...granted } })).toEqual({
      ...{ type, leaseId: "lease-1", sequence: 3, ttlMs: 60_000, intervalMs: 100 },
    });
  });

  it.each([
    [LeaseLostReason.UNKNOWN, "unknown"],
    [LeaseLostReason.EXPIRED, "expired"],
    [LeaseLostReason.SUPERSEDED, "superseded"],
    [LeaseLostReason.DEREGISTERED, "deregistered"],
    [LeaseLostReason.UNSPECIFIED, "unknown"],
    // Of a newer Pulse: the lease is lost all the same.
    [99 as LeaseLostReason, "unknown"],
  ])("that says a lease is lost for reason %i is read as %s", (reason, word) => {
    expect(read({ case: "leaseLost", value: { leaseId: "lease-1", reason } })).toEqual({
      type: "lease-lost",
      leaseId: "lease-1",
      reason: word,
    });
  });

  it.each([
    [undefined, 0],
    [1_500, 1_500],
    [-5, 0],
    [86_400_000, 300_000],
  ])("that says draining, and to wait %d ms, makes it wait %d ms", (asked, retryAfterMs) => {
    const value = asked === undefined ? {} : { retryAfter: durationFromMs(asked) };
    expect(read({ case: "draining", value })).toEqual({ type: "draining", retryAfterMs });
  });

  it("of a kind that a newer Pulse may send is ignored", () => {
    expect(read(undefined)).toBeUndefined();
  });
});
