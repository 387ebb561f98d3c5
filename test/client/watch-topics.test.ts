import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DownloadClientSchema } from "../../gen/pulse/v1/download_client_pb.js";
import { WatchDownloadClientsResponseSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import { WatchServicesResponseSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceSchema, ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { ChangeType, SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import { DOWNLOAD_CLIENTS, SERVICES } from "../../src/client/watch-topics.js";
import { bookmark, entry, gone, put, type ResponseInit, snapshot } from "./fake-watch-server.js";

const read = (response: ResponseInit) =>
  DOWNLOAD_CLIENTS.read(create(WatchDownloadClientsResponseSchema, response));
const seen = (seconds: number) => ({ lastSeenTime: timestampFromMs(seconds * 1_000) });

describe("download clients", () => {
  it.each<[string, ResponseInit, object]>([
    ["snapshot", snapshot(["a"], 5), { type: "snapshot", items: [{ id: "id-a" }], more: false }],
    ["part", snapshot(["a"], 5, { more: true }), { type: "snapshot", more: true }],
    ["put", put("a", 5), { type: "put", item: { name: "a" }, reason: "registered" }],
    ["delete", gone("a", 5), { type: "delete", item: { id: "id-a" }, reason: "deregistered" }],
    ["bookmark", bookmark(5), { type: "bookmark" }],
    ["event of a later Pulse", { revision: 5n, resumeToken: "t5" }, { type: "unknown" }],
    [
      "change of a later Pulse",
      {
        event: { case: "change", value: { type: 9 as ChangeType, downloadClient: entry("a") } },
        revision: 5n,
      },
      { type: "unknown" },
    ],
    [
      "change of nothing",
      { event: { case: "change", value: { type: ChangeType.PUT } }, revision: 5n },
      { type: "unknown" },
    ],
  ])("are read from a %s", (_, response, event) => {
    const told = read(response);
    expect(told.event).toMatchObject(event);
    expect(told.revision).toBe(5n);
  });

  it.each<[string, string, SnapshotReason | undefined]>([
    ["same", "COMPACTED", SnapshotReason.COMPACTED],
    ["another", "FUTURE", SnapshotReason.FUTURE],
    ["another", "OTHER_HISTORY", SnapshotReason.OTHER_HISTORY],
    ["another", "FIRST", SnapshotReason.FIRST],
    ["another", "no reason", undefined],
    ["another", "a reason of a later Pulse", 9 as SnapshotReason],
  ])("are of the %s history in a snapshot with %s", (history, _, reason) => {
    expect(read(snapshot(["a"], 5, reason === undefined ? {} : { reason })).event).toMatchObject({
      history,
    });
    const value = reason === undefined ? {} : { reason };
    const event = { case: "snapshot" as const, value };
    expect(SERVICES.read(create(WatchServicesResponseSchema, { event })).event).toMatchObject({
      history,
    });
  });

  it("say how often something is sent, where they do", () => {
    expect(read(bookmark(5)).bookmarkIntervalMs).toBe(5_000);
    expect(read(put("a", 5)).bookmarkIntervalMs).toBeUndefined();
  });

  it("are the same if nothing differs, load and etag included", () => {
    const one = create(DownloadClientSchema, entry("a"));
    const { isSame } = DOWNLOAD_CLIENTS;
    expect(isSame(one, create(DownloadClientSchema, entry("a")))).toBe(true);
    expect(isSame(one, create(DownloadClientSchema, entry("a", "2")))).toBe(false);
    expect(isSame(one, create(DownloadClientSchema, { ...entry("a"), load: { active: 1 } }))).toBe(
      false,
    );
  });

  it("come back whole from their bytes, which must be a complete snapshot", () => {
    const known = {
      items: [create(DownloadClientSchema, entry("a"))],
      revision: 7n,
      resumeToken: "t7",
    };
    expect(DOWNLOAD_CLIENTS.fromBytes(DOWNLOAD_CLIENTS.toBytes(known))).toEqual(known);
    expect(() => DOWNLOAD_CLIENTS.fromBytes(Buffer.alloc(0))).toThrow("no complete snapshot");
    expect(() => DOWNLOAD_CLIENTS.fromBytes(Buffer.from("garbage"))).toThrow();
  });

  it("are asked for with a text that is the same for the same filter", () => {
    const text = (kinds: string[]) => DOWNLOAD_CLIENTS.ask({ kinds }).text;
    expect(text(["a", "b"])).toBe(text(["b", "a"]));
    expect(text(["a"])).not.toBe(text(["b"]));
    expect(DOWNLOAD_CLIENTS.ask({}).text).not.toBe(SERVICES.ask({}).text);
  });
});

describe("services", () => {
  const service = create(ServiceSchema, { id: "s", spec: { name: "haul" }, ...seen(1) });

  it("are read from snapshots, changes and bookmarks", () => {
    const told = (event: Parameters<typeof create<typeof WatchServicesResponseSchema>>[1]) =>
      SERVICES.read(create(WatchServicesResponseSchema, event)).event;
    expect(
      told({ event: { case: "snapshot", value: { services: [service], more: true } } }),
    ).toEqual({ type: "snapshot", items: [service], more: true, history: "another" });
    const change = { type: ChangeType.DELETE, reason: "expired", service };
    expect(told({ event: { case: "change", value: change } })).toEqual({
      type: "delete",
      item: service,
      reason: "expired",
    });
    expect(told({ event: { case: "bookmark", value: {} } })).toEqual({ type: "bookmark" });
    expect(told({})).toEqual({ type: "unknown" });
    expect([SERVICES.idOf(service), SERVICES.nameOf(service)]).toEqual(["s", "haul"]);
    expect(SERVICES.nameOf(create(ServiceSchema))).toBe("");
  });

  it("are the same if only the last sign of life differs, which is left as it is", () => {
    const later = create(ServiceSchema, { ...service, ...seen(2) });
    expect(SERVICES.isSame(service, later)).toBe(true);
    expect(later.lastSeenTime?.seconds).toBe(2n);
    expect(SERVICES.isSame(service, { ...later, status: ServiceStatus.OFFLINE })).toBe(false);
  });

  it("come back whole from their bytes", () => {
    const known = { items: [service], revision: 7n, resumeToken: "t7" };
    expect(SERVICES.fromBytes(SERVICES.toBytes(known))).toEqual(known);
    expect(() => SERVICES.fromBytes(Buffer.alloc(0))).toThrow("no complete snapshot");
  });
});
