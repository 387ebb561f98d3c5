import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  AuthScheme,
  Availability,
  CredentialState,
  type DownloadClient,
  DownloadClientOverridesSchema,
  DownloadClientSchema,
  Source,
} from "../../gen/pulse/v1/download_client_pb.js";
import { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { ServiceSchema, ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { Scope, TokenSchema } from "../../gen/pulse/v1/token_service_pb.js";
import { downloadClientsTable, servicesTable, tokensTable } from "../../src/cli/tables.js";

const entry = create(DownloadClientSchema, {
  name: "haul",
  kind: "qbittorrent",
  protocol: Protocol.TORRENT,
  host: "::1",
  port: 8080,
  useSsl: true,
  urlBase: "/qbt",
  username: "me",
  password: "hunter2",
  authScheme: AuthScheme.SESSION,
  enabled: true,
  priority: 50,
  source: Source.AUTO,
  availability: Availability.ONLINE,
  availabilityReason: "registered",
  credentialState: CredentialState.VERIFIED,
});

describe("the table of download clients", () => {
  test("says that there are credentials, not what they are", () => {
    const table = downloadClientsTable([entry]);
    expect(table).toMatch(
      /haul +qbittorrent +torrent +https:\/\/\[::1\]:8080\/qbt +online +registered +auto +50 +verified$/,
    );
    expect(table).not.toContain("hunter2");
  });

  test("shows them when asked", () => {
    expect(downloadClientsTable([entry], { showCredentials: true })).toMatch(/me +hunter2/);
  });

  test("tells one without credentials from one whose credentials it may not see", () => {
    const none = { ...entry, username: "", password: "", authScheme: AuthScheme.NONE };
    expect(downloadClientsTable([none])).toMatch(/50 +none$/);
    const blank = { ...entry, username: "", password: "" };
    expect(downloadClientsTable([blank])).toMatch(/50 +verified$/);
  });

  test("says who made an entry, and whether an operator changed what its service says", () => {
    const manual = { ...entry, source: Source.MANUAL, availabilityReason: "a long explanation" };
    expect(downloadClientsTable([manual])).toMatch(/online +not watched +manual/);
    const changed = { ...entry, overrides: create(DownloadClientOverridesSchema, { host: "nas" }) };
    expect(downloadClientsTable([changed])).toMatch(/registered +overridden/);
  });

  test("shows a disabled one and a deleted one as such", () => {
    expect(downloadClientsTable([{ ...entry, enabled: false }])).toMatch(/auto +off/);
    const deleted = { ...entry, deleteTime: timestampFromMs(0) };
    expect(downloadClientsTable([deleted])).toMatch(/deleted +1970-01-01T00:00:00Z/);
  });

  test("shows one whose service is away, and why", () => {
    const row = (more: object) => downloadClientsTable([{ ...entry, hidden: true, ...more }]);
    const forgotten = { availability: Availability.OFFLINE, availabilityReason: "forgotten" };
    expect(row(forgotten)).toMatch(/away +forgotten +auto/);
    expect(row({})).toMatch(/away +service of another type +auto/);
    expect(row({ hidden: false })).toMatch(/online +registered +auto/);
  });

  test("fits into 120 columns, made by hand or registered", () => {
    const usual = { ...entry, host: "192.168.1.10", useSsl: false };
    const manual = { ...usual, source: Source.MANUAL, credentialState: CredentialState.UNVERIFIED };
    const widths = downloadClientsTable([usual, manual])
      .split("\n")
      .map((line) => line.length);
    expect(Math.max(...widths)).toBeLessThanOrEqual(120);
  });

  describe("with load", () => {
    const load = create(LoadSchema, {
      ...{ freeBytes: 3n * 2n ** 40n, active: 12, queued: 340 },
      downloadBytesPerSecond: 1_500_000n,
    });
    const tableOf = (entry: DownloadClient, more = {}) =>
      downloadClientsTable([entry], { showLoad: true, ...more });

    test("says how busy each is, in the place of where it is", () => {
      const table = tableOf({ ...entry, load });
      expect(table).toMatch(
        /^NAME +KIND +AVAILABILITY +REASON +PRIO +FREE +ACTIVE +QUEUED +DOWNLOAD +CREDENTIALS\n/,
      );
      expect(table).toMatch(
        /haul +qbittorrent +online +registered +50 +3\.0 TiB +12 +340 +1\.4 MiB\/s +verified$/,
      );
      expect(tableOf({ ...entry, load }, { showCredentials: true })).toMatch(
        /MiB\/s +me +hunter2$/,
      );
    });

    test("tells what is not known from nothing", () => {
      expect(tableOf(entry)).toMatch(/50 +- +- +- +- +verified$/);
      const none = create(LoadSchema, { freeBytes: 0n, active: 0, downloadBytesPerSecond: 0n });
      expect(tableOf({ ...entry, load: none })).toMatch(/50 +0 B +0 +- +0 B\/s +verified$/);
    });

    test("fits into 120 columns", () => {
      const long = { ...entry, name: "qbittorrent-2", source: Source.MANUAL, load };
      const widths = tableOf(long)
        .split("\n")
        .map((line) => line.length);
      expect(Math.max(...widths)).toBeLessThanOrEqual(120);
    });
  });

  test("an empty one is a sentence", () => {
    expect(downloadClientsTable([])).toBe("No download clients.");
  });
});

test("the table of services shows why one is not online", () => {
  const service = create(ServiceSchema, {
    spec: { name: "haul", type: "download-client" },
    status: ServiceStatus.OFFLINE,
    statusReason: "goodbye",
  });
  expect(servicesTable([service], true)).toMatch(/haul +download-client +- +offline +goodbye/);
});

test("the table of tokens says how each ends, how often it was used, and when last", () => {
  const token = (change: MessageInitShape<typeof TokenSchema>) =>
    create(TokenSchema, { id: "t", name: "n", createTime: timestampFromMs(0), ...change });
  const row = (change: MessageInitShape<typeof TokenSchema>) =>
    tokensTable([token(change)], 5_000).split("\n")[1];
  expect(row({ scopes: [Scope.OBSERVE], lastUsedTime: timestampFromMs(4_000) })).toMatch(
    /observe +valid +- +- +1970-01-01T00:00:04Z +1970-01-01T00:00:00Z$/,
  );
  expect(row({ expireTime: timestampFromMs(5_001) })).toMatch(/valid +1970-01-01T00:00:05Z/);
  expect(row({ expireTime: timestampFromMs(5_000) })).toContain("expired");
  expect(row({ scopes: [Scope.JOIN], maxUses: 3, uses: 2 })).toMatch(/join +valid +- +2 of 3 /);
  expect(row({ scopes: [Scope.JOIN], maxUses: 3, uses: 3 })).toMatch(/join +spent +- +3 of 3 /);
  expect(row({ scopes: [Scope.JOIN], uses: 7 })).toMatch(/join +valid +- +7 /);
  const revoked = { revokeTime: timestampFromMs(1), expireTime: timestampFromMs(2) };
  expect(row(revoked)).toContain("revoked");
});
