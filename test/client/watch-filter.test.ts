import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Availability, CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import { WatchDownloadClientsRequestSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { WatchServicesRequestSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { toDownloadClientFilter, toServiceFilter } from "../../src/client/watch-filter.js";
import type { DownloadClientFilter, ServiceFilter } from "../../src/client/watching.js";

describe("a filter of download clients", () => {
  it("says in Pulse's words what was given, in one order and each once", () => {
    const request = toDownloadClientFilter({
      protocol: "usenet",
      kinds: ["sabnzbd", "nzbget", "sabnzbd"],
      availabilities: ["online", "degraded"],
      credentialStates: ["verified", "unverified", "verified"],
      enabled: false,
    });
    expect(request).toEqual({
      protocol: Protocol.USENET,
      kinds: ["nzbget", "sabnzbd"],
      availabilities: [Availability.DEGRADED, Availability.ONLINE],
      credentialStates: [CredentialState.UNVERIFIED, CredentialState.VERIFIED],
      enabled: false,
    });
  });

  it("asks for everything if nothing is given", () => {
    const everything = create(WatchDownloadClientsRequestSchema);
    for (const filter of [undefined, {}])
      expect(create(WatchDownloadClientsRequestSchema, toDownloadClientFilter(filter))).toEqual(
        everything,
      );
  });

  it.each<[string, unknown]>([
    ["filter.protocol knows only torrent, usenet", { protocol: "http" }],
    ["filter.protocol knows only torrent, usenet", { protocol: "constructor" }],
    ["filter.kinds must be a list of texts", { kinds: "sabnzbd" }],
    ["filter.kinds must be a list of texts", { kinds: [1] }],
    ["filter.enabled must be true or false", { enabled: "yes" }],
    ["filter.kind is no filter of this watch", { kind: "sabnzbd" }],
    [
      "filter.availabilities knows only online, degraded, offline",
      { availabilities: ["online", "gone"] },
    ],
    [
      "filter.credentialStates knows only unverified, verified, rejected",
      { credentialStates: ["proven"] },
    ],
  ])("is refused with %s", (message, filter) => {
    expect(() => toDownloadClientFilter(filter as DownloadClientFilter)).toThrow(
      new TypeError(message),
    );
  });
});

describe("a filter of services", () => {
  it("says in Pulse's words what was given", () => {
    expect(
      toServiceFilter({ type: "indexer", capabilities: ["b", "a"], statuses: ["offline"] }),
    ).toEqual({
      type: "indexer",
      capabilities: ["a", "b"],
      statuses: [ServiceStatus.OFFLINE],
    });
    expect(create(WatchServicesRequestSchema, toServiceFilter())).toEqual(
      create(WatchServicesRequestSchema),
    );
  });

  it.each<[string, unknown]>([
    ["filter.capabilities must be a list of texts", { capabilities: "x" }],
    ["filter.type must be a text", { type: 1 }],
    ["filter.protocol is no filter of this watch", { protocol: "torrent" }],
    ["filter.statuses knows only online, degraded, offline, pending", { statuses: ["ONLINE"] }],
  ])("is refused with %s", (message, filter) => {
    expect(() => toServiceFilter(filter as ServiceFilter)).toThrow(new TypeError(message));
  });
});
