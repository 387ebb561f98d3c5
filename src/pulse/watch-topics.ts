import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type DownloadClient,
  DownloadClientSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import {
  type WatchDownloadClientsResponse,
  WatchDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import {
  type WatchServicesResponse,
  WatchServicesResponseSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { type Service, ServiceSchema } from "../../gen/pulse/v1/service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";
import type { Catalog } from "../core/catalog.js";
import type { ResolvedEntry } from "../core/entry.js";
import {
  type EntryTraits,
  type ServiceTraits,
  traitsOfEntry,
  traitsOfService,
} from "../core/filter.js";
import type { ServiceRecord } from "../core/service.js";
import { shareBytes } from "../wire/message-bytes.js";
import { downloadClientOf, serviceOf } from "./convert.js";
import type { EntrySigns } from "./entry-signs.js";
import type { Leases } from "./leases.js";
import { sizeOf } from "./record-size.js";
import { type ChangeMeta, type Meta, SNAPSHOT_REASONS, type WatchTopic } from "./watch-topic.js";

/** What responses about the state have, whatever it is the state of. */
interface StateFields {
  readonly stale: boolean;
  readonly bookmarkInterval: Duration;
}

export interface WatchTopicOptions {
  readonly catalog: Catalog;
  readonly leases: Leases;
  readonly signs: EntrySigns;
  readonly bookmarkInterval: Duration;
}

export function downloadClientTopic({
  catalog,
  signs,
  bookmarkInterval,
}: WatchTopicOptions): WatchTopic<ResolvedEntry, EntryTraits, WatchDownloadClientsResponse> {
  const messageOf = (item: ResolvedEntry, withCredentials: boolean) =>
    downloadClientOf(item, signs.of(item), withCredentials);
  const respond = (
    event: MessageInitShape<typeof WatchDownloadClientsResponseSchema>["event"],
    { revision, token }: Meta,
    state?: StateFields,
  ) =>
    shareBytes(
      create(WatchDownloadClientsResponseSchema, {
        ...(event && { event }),
        revision,
        resumeToken: token,
        ...state,
      }),
    );
  const change = (type: ChangeType, downloadClient: DownloadClient, meta: ChangeMeta) =>
    respond({ case: "change", value: { type, reason: meta.reason, downloadClient } }, meta);

  return {
    subject: "download-client",
    items: () => catalog.entries(),
    find: (id) => catalog.visibleEntry(id),
    traitsOf: traitsOfEntry,
    sizeOf: (item) => (item ? sizeOf(item.entry) + (item.service ? sizeOf(item.service) : 0) : 0),
    snapshot(items, withCredentials, meta) {
      const downloadClients = items.map((item) => messageOf(item, withCredentials));
      const { more, cause } = meta;
      const value = { downloadClients, more, reason: SNAPSHOT_REASONS[cause] };
      return respond({ case: "snapshot", value }, meta, { stale: meta.stale, bookmarkInterval });
    },
    put(item, withCredentials) {
      const message = messageOf(item, withCredentials);
      return (meta) => change(ChangeType.PUT, message, meta);
    },
    gone(id, before) {
      const name = before?.entry.name ?? catalog.entry(id)?.name ?? "";
      const message = create(DownloadClientSchema, { id, name });
      return (meta) => change(ChangeType.DELETE, message, meta);
    },
    bookmark: (meta) =>
      respond({ case: "bookmark", value: {} }, meta, { stale: meta.stale, bookmarkInterval }),
  };
}

export function serviceTopic({
  catalog,
  leases,
  bookmarkInterval,
}: WatchTopicOptions): WatchTopic<ServiceRecord, ServiceTraits, WatchServicesResponse> {
  const messageOf = (item: ServiceRecord) => serviceOf(item, leases.lastSeenAt(item));
  const respond = (
    event: MessageInitShape<typeof WatchServicesResponseSchema>["event"],
    { revision, token }: Meta,
    state?: StateFields,
  ) =>
    shareBytes(
      create(WatchServicesResponseSchema, {
        ...(event && { event }),
        revision,
        resumeToken: token,
        ...state,
      }),
    );
  const change = (type: ChangeType, service: Service, meta: ChangeMeta) =>
    respond({ case: "change", value: { type, reason: meta.reason, service } }, meta);

  return {
    subject: "service",
    items: () => catalog.services(),
    find: (id) => catalog.presentService(id),
    traitsOf: traitsOfService,
    sizeOf: (item) => (item ? sizeOf(item) : 0),
    snapshot(items, _withCredentials, meta) {
      const { more, cause } = meta;
      const value = { services: items.map(messageOf), more, reason: SNAPSHOT_REASONS[cause] };
      return respond({ case: "snapshot", value }, meta, { stale: meta.stale, bookmarkInterval });
    },
    put(item) {
      const message = messageOf(item);
      return (meta) => change(ChangeType.PUT, message, meta);
    },
    gone(id) {
      const message = create(ServiceSchema, { id });
      return (meta) => change(ChangeType.DELETE, message, meta);
    },
    bookmark: (meta) =>
      respond({ case: "bookmark", value: {} }, meta, { stale: meta.stale, bookmarkInterval }),
  };
}
