import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  AuthScheme,
  Availability,
  CredentialState,
} from "../../gen/pulse/v1/download_client_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { ServiceSpecSchema, ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { Scope } from "../../gen/pulse/v1/token_service_pb.js";
import { type EntryRecord, resolveEntry } from "../../src/core/entry.js";
import { DomainError } from "../../src/core/errors.js";
import type { ServiceRecord } from "../../src/core/service.js";
import {
  downloadClientOf,
  readAvailability,
  readCredentialState,
  readDuration,
  readProtocol,
  readScope,
  readSpec,
  readStatus,
  serviceOf,
  timestampOf,
  tokenOf,
} from "../../src/pulse/convert.js";
import { entryRecord, serviceRecord, tokenRecord } from "../store/sample-records.js";

/** The field that is refused, and the words for it. */
function refusalOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof DomainError && error.refusal.kind === "invalid") return error.message;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** The entry of this service as managers see it. */
function entryOf(
  service: ServiceRecord,
  withCredentials: boolean,
  change: Partial<EntryRecord> = {},
) {
  const resolved = resolveEntry(entryRecord(change), service);
  if (!resolved) throw new Error("the entry has nothing to be seen");
  return downloadClientOf(resolved, { load: undefined, verifiedAt: undefined }, withCredentials);
}

describe("an enum of a request", () => {
  it("is read as a word, and UNSPECIFIED as nothing said", () => {
    expect([0, 1, 2, 3, 4].map((value) => readStatus(value, "f"))).toEqual([
      undefined,
      "online",
      "degraded",
      "offline",
      "pending",
    ]);
    expect(readAvailability(Availability.DEGRADED, "f")).toBe("degraded");
    expect(readProtocol(Protocol.USENET, "f")).toBe("usenet");
    expect(readProtocol(Protocol.UNSPECIFIED, "f")).toBeUndefined();
    expect(readCredentialState(CredentialState.REJECTED, "f")).toBe("rejected");
  });

  it.each<[string, (value: number, field: string) => unknown]>([
    ["a status", readStatus],
    ["an availability", readAvailability],
    ["a protocol", readProtocol],
    ["a credential state", readCredentialState],
    ["a scope", readScope],
  ])("with a value that %s does not have is refused, and the words to use are told", (_, read) => {
    for (const value of [99, -1]) {
      const message = refusalOf(() => read(value, "some.field"));
      expect(message).toMatch(new RegExp(`^some\\.field: has no value ${value}; use one of \\w+`));
    }
  });

  it("that has to be said is refused if it is not", () => {
    expect(readScope(Scope.ADMIN, "scopes[0]")).toBe("admin");
    expect(refusalOf(() => readScope(Scope.UNSPECIFIED, "scopes[0]"))).toBe(
      "scopes[0]: must be one of register, discover, observe, admin, join",
    );
  });
});

it("a spec that says little is read as empty texts and no protocol", () => {
  expect(readSpec(create(ServiceSpecSchema, { name: "haul", type: "x" }))).toEqual({
    name: "haul",
    type: "x",
    kind: "",
    apiUrl: "",
    healthUrl: "",
    version: "",
    capabilities: [],
    metadata: {},
    protocol: undefined,
    downloadDirectory: "",
    pathMappings: [],
  });
});

it("where files are is read as plain data, and told of a service and of its entry", () => {
  const pathMappings = [{ clientPath: "/downloads", managerPath: "/data" }];
  const spec = { downloadDirectory: "/downloads", pathMappings };
  expect(readSpec(create(ServiceSpecSchema, spec))).toMatchObject(spec);
  expect(Object.keys(readSpec(create(ServiceSpecSchema, spec)).pathMappings[0] ?? {})).toEqual([
    "clientPath",
    "managerPath",
  ]);
  const record = serviceRecord({ spec: { ...serviceRecord().spec, ...spec } });
  expect(serviceOf(record, 0).spec).toMatchObject(spec);
  for (const withCredentials of [true, false])
    expect(entryOf(record, withCredentials)).toMatchObject(spec);
});

it.each([
  [15n, 0, 15_000],
  [0n, 1_500_000, 2],
  [4n, 999_000_000, 4_999],
  [-10n, 0, -10_000],
  [-1n, -500_000_000, -1_500],
  [315_576_000_000n, 0, 315_576_000_000_000],
])("a duration of %d s and %d ns is %d ms", (seconds, nanos, ms) => {
  expect(readDuration(create(DurationSchema, { seconds, nanos }))).toBe(ms);
});

it.each([
  [0, 0n, 0],
  [1_767_225_600_001, 1_767_225_600n, 1_000_000],
  // Before 1970 the nanoseconds count on, they do not turn negative.
  [-1, -1n, 999_000_000],
])("the moment %d ms as a timestamp", (wallMs, seconds, nanos) => {
  expect(timestampOf(wallMs)).toMatchObject({ seconds, nanos });
});

describe("a service", () => {
  it("is seen with its newest sign of life, and without lease, secret or credentials", () => {
    const record = serviceRecord({ username: "planted-user", apiKey: "planted-key" });
    const service = serviceOf(record, record.createdAt + 5_000);
    expect(service.lastSeenTime).toEqual(timestampOf(record.createdAt + 5_000));
    expect(service.createTime).toEqual(timestampOf(record.createdAt));
    const text = JSON.stringify(service, (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    for (const secret of ["planted-user", "planted-key", record.leaseId, record.secretHash ?? "?"])
      expect(text).not.toContain(secret);
  });

  it.each([
    ["online", ServiceStatus.ONLINE, Availability.ONLINE],
    ["degraded", ServiceStatus.DEGRADED, Availability.DEGRADED],
    ["offline", ServiceStatus.OFFLINE, Availability.OFFLINE],
  ] as const)("that is %s says so, and so does its entry", (status, asService, asEntry) => {
    const record = serviceRecord({ status, statusReason: "why" });
    expect(serviceOf(record, 0)).toMatchObject({ status: asService, statusReason: "why" });
    expect(entryOf(record, true)).toMatchObject({
      availability: asEntry,
      availabilityReason: "why",
    });
  });
});

describe("an entry", () => {
  const record = serviceRecord({ username: "user", apiKey: "key" });

  it("has its credentials only for those who may see them", () => {
    const credentialsFor = (withCredentials: boolean) => {
      const entry = entryOf(record, withCredentials);
      return [entry.username, entry.password];
    };
    expect(credentialsFor(true)).toEqual(["user", "key"]);
    expect(credentialsFor(false)).toEqual(["", ""]);
  });

  it.each([
    ["qbittorrent", "user", "key", AuthScheme.SESSION],
    ["aria2", "", "key", AuthScheme.RPC_SECRET],
    ["deluge", "", "key", AuthScheme.PASSWORD_ONLY],
    ["transmission", "user", "", AuthScheme.BASIC],
    ["sabnzbd", "", "key", AuthScheme.API_KEY],
    ["qbittorrent", "", "", AuthScheme.NONE],
    ["flood", "user", "key", AuthScheme.UNSPECIFIED],
  ])("of kind %s with user %j and key %j says how to log in", (kind, username, apiKey, scheme) => {
    const service = serviceRecord({ username, apiKey, spec: { ...record.spec, kind } });
    const seen = entryOf(service, false);
    expect(AuthScheme[seen.authScheme]).toBe(AuthScheme[scheme]);
  });

  it("has another etag with each visible change", () => {
    const etag = (revision: bigint) => entryOf(record, true, { revision }).etag;
    expect(etag(1n)).toBe(etag(1n));
    expect(new Set([1n, 2n, 36n, 37n].map(etag)).size).toBe(4);
  });
});

it("a token is seen without its hash, and as revoked only if it is", () => {
  const valid = tokenOf(tokenRecord());
  expect(valid.revokeTime).toBeUndefined();
  expect(Object.values(valid)).not.toContain(tokenRecord().hash);
  expect(tokenOf(tokenRecord({ revokedAt: 0 })).revokeTime).toEqual(timestampOf(0));
});
