import { SnapshotReason } from "../../gen/pulse/v1/watch_pb.js";
import type { ChangeReason } from "../core/change.js";
import type { Place } from "./history.js";

/** Why a watcher gets a snapshot. */
export type SnapshotCause = Exclude<Place, "known"> | "first";

export const SNAPSHOT_REASONS: Readonly<Record<SnapshotCause, SnapshotReason>> = {
  first: SnapshotReason.FIRST,
  compacted: SnapshotReason.COMPACTED,
  future: SnapshotReason.FUTURE,
  "other-history": SnapshotReason.OTHER_HISTORY,
};

/** What every response of a watch has. */
export interface Meta {
  readonly revision: bigint;
  /** Resume token. */
  readonly token: string;
}

/** What a response says of the state, beside what is in it. */
export interface StateMeta extends Meta {
  /** There may be newer commits that are not known here yet. */
  readonly stale: boolean;
}

/** What the response to a change says beside the item. */
export interface ChangeMeta extends Meta {
  readonly reason: ChangeReason;
}

/**
 * What a hub has to know of that which it is about: services or entries. `Item`
 * is a record as the catalog has it, `Traits` what filters look at. Responses
 * never change, so that they may go to many watchers.
 */
export interface WatchTopic<Item extends object, Traits, Response> {
  readonly subject: "service" | "download-client";
  /** All that are there now. */
  readonly items: () => Iterable<Item>;
  readonly find: (id: string) => Item | undefined;
  readonly traitsOf: (item: Item) => Traits;
  /** About its characters. */
  readonly sizeOf: (item: Item | undefined) => number;
  readonly snapshot: (
    items: readonly Item[],
    withCredentials: boolean,
    meta: StateMeta & { readonly cause: SnapshotCause; readonly more: boolean },
  ) => Response;
  /** Makes the item's message once, for any number of responses. */
  readonly put: (item: Item, withCredentials: boolean) => (meta: ChangeMeta) => Response;
  /** @param before the item as it was last known */
  readonly gone: (id: string, before: Item | undefined) => (meta: ChangeMeta) => Response;
  readonly bookmark: (meta: StateMeta) => Response;
}
