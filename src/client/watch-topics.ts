import { create, equals, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "@connectrpc/connect";
import {
  type DownloadClient,
  DownloadClientSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import {
  WatchDownloadClientsRequestSchema,
  type WatchDownloadClientsResponse,
  WatchDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import {
  WatchServicesRequestSchema,
  type WatchServicesResponse,
  WatchServicesResponseSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { type Service, ServiceSchema } from "../../gen/pulse/v1/service_pb.js";
import { ChangeType, SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import type { WatchConnection } from "./clients.js";
import { toDownloadClientFilter, toServiceFilter } from "./watch-filter.js";
import type { DownloadClientFilter, ServiceFilter } from "./watching.js";

/** What a watch has to know of its items. */
export interface ItemKind<Item> {
  idOf(item: Item): string;
  nameOf(item: Item): string;
  /** Whether nothing differs that counts as a change. */
  isSame(one: Item, other: Item): boolean;
}

/** A response, whichever topic it is of. */
export interface Told<Item> {
  readonly event:
    | {
        readonly type: "snapshot";
        readonly items: readonly Item[];
        readonly more: boolean;
        /** Whether it goes on in the history that the watcher's token was of. */
        readonly history: "same" | "another";
      }
    | { readonly type: "put" | "delete"; readonly item: Item; readonly reason: string }
    | { readonly type: "bookmark" }
    /** Of a kind that this client does not know. */
    | { readonly type: "unknown" };
  readonly revision: bigint;
  /** Empty: none. */
  readonly resumeToken: string;
  /** Undefined: as before. */
  readonly bookmarkIntervalMs: number | undefined;
  /** Of a snapshot or bookmark: this Pulse may not know the newest, and says so. */
  readonly isStale: boolean;
}

/** A complete state. */
export interface Snapshot<Item> {
  readonly items: readonly Item[];
  readonly revision: bigint;
  readonly resumeToken: string;
}

/** What is asked of Pulse. */
export interface Query<Response> {
  /** The same for the same question. */
  readonly text: string;
  open(
    connection: WatchConnection,
    resumeToken: string,
    options: CallOptions,
  ): AsyncIterable<Response>;
}

/** What can be watched, and how its messages read. */
export interface Topic<Item, Filter, Response> extends ItemKind<Item> {
  /** For people. */
  readonly name: string;
  /** @throws TypeError that names the option if the filter has words that mean nothing */
  ask(filter: Filter | undefined): Query<Response>;
  read(response: Response): Told<Item>;
  /** A complete state as bytes: one response. */
  toBytes(snapshot: Snapshot<Item>): Uint8Array;
  /** @throws Error if the bytes are no complete state */
  fromBytes(bytes: Uint8Array): Snapshot<Item>;
}

export const DOWNLOAD_CLIENTS: Topic<
  DownloadClient,
  DownloadClientFilter,
  WatchDownloadClientsResponse
> = {
  name: "download clients",
  idOf: ({ id }) => id,
  nameOf: ({ name }) => name,
  isSame: (one, other) => one.etag === other.etag && equals(DownloadClientSchema, one, other),
  ask(filter) {
    const asked = create(WatchDownloadClientsRequestSchema, toDownloadClientFilter(filter));
    return {
      text: `downloadClients ${toJsonString(WatchDownloadClientsRequestSchema, asked)}`,
      open: ({ downloadClients }, resumeToken, options) =>
        downloadClients.watchDownloadClients({ ...asked, resumeToken }, options),
    };
  },
  read(response) {
    const { event } = response;
    switch (event.case) {
      case "snapshot": {
        const { downloadClients: items, more, reason } = event.value;
        const history = historyOf(reason);
        return { event: { type: "snapshot", items, more, history }, ...frameOf(response) };
      }
      case "change": {
        const { type, reason, downloadClient } = event.value;
        return { event: changeOf(this, type, reason, downloadClient), ...frameOf(response) };
      }
      default:
        return { event: { type: event.case ?? "unknown" }, ...frameOf(response) };
    }
  },
  toBytes({ items, revision, resumeToken }) {
    const value = { downloadClients: [...items] };
    const response = { event: { case: "snapshot" as const, value }, revision, resumeToken };
    const schema = WatchDownloadClientsResponseSchema;
    return toBinary(schema, create(schema, response));
  },
  fromBytes(bytes) {
    return snapshotOf(this.read(fromBinary(WatchDownloadClientsResponseSchema, bytes)));
  },
};

export const SERVICES: Topic<Service, ServiceFilter, WatchServicesResponse> = {
  name: "services",
  idOf: ({ id }) => id,
  nameOf: ({ spec }) => spec?.name ?? "",
  isSame: (one, other) => equals(ServiceSchema, withoutSignOfLife(one), withoutSignOfLife(other)),
  ask(filter) {
    const asked = create(WatchServicesRequestSchema, toServiceFilter(filter));
    return {
      text: `services ${toJsonString(WatchServicesRequestSchema, asked)}`,
      open: ({ registry }, resumeToken, options) =>
        registry.watchServices({ ...asked, resumeToken }, options),
    };
  },
  read(response) {
    const { event } = response;
    switch (event.case) {
      case "snapshot": {
        const { services: items, more, reason } = event.value;
        const history = historyOf(reason);
        return { event: { type: "snapshot", items, more, history }, ...frameOf(response) };
      }
      case "change": {
        const { type, reason, service } = event.value;
        return { event: changeOf(this, type, reason, service), ...frameOf(response) };
      }
      default:
        return { event: { type: event.case ?? "unknown" }, ...frameOf(response) };
    }
  },
  toBytes({ items, revision, resumeToken }) {
    const value = { services: [...items] };
    const response = { event: { case: "snapshot" as const, value }, revision, resumeToken };
    return toBinary(WatchServicesResponseSchema, create(WatchServicesResponseSchema, response));
  },
  fromBytes(bytes) {
    return snapshotOf(this.read(fromBinary(WatchServicesResponseSchema, bytes)));
  },
};

function frameOf(response: {
  readonly revision: bigint;
  readonly resumeToken: string;
  readonly bookmarkInterval?: Duration | undefined;
  readonly stale: boolean;
}) {
  const { revision, resumeToken, bookmarkInterval, stale: isStale } = response;
  const bookmarkIntervalMs = bookmarkInterval && durationMs(bookmarkInterval);
  return { revision, resumeToken, bookmarkIntervalMs, isStale };
}

/** Only a token that is too old proves that its history went on; any other reason is none for deleting. */
function historyOf(reason: SnapshotReason): "same" | "another" {
  return reason === SnapshotReason.COMPACTED ? "same" : "another";
}

function changeOf<Item>(
  kind: ItemKind<Item>,
  type: ChangeType,
  reason: string,
  item: Item | undefined,
): Told<Item>["event"] {
  if (!item || !kind.idOf(item)) return { type: "unknown" };
  if (type === ChangeType.PUT) return { type: "put", item, reason };
  if (type === ChangeType.DELETE) return { type: "delete", item, reason };
  return { type: "unknown" };
}

/** `last_seen_time` is as of the message; it alone is no change. */
function withoutSignOfLife(service: Service): Service {
  const rest = { ...service };
  delete rest.lastSeenTime;
  return rest;
}

function snapshotOf<Item>({ event, revision, resumeToken }: Told<Item>): Snapshot<Item> {
  if (event.type !== "snapshot" || event.more) throw new Error("this is no complete snapshot");
  return { items: event.items, revision, resumeToken };
}
