import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import type { TokenSource } from "./authorization.js";
import type { PulseSecurity } from "./target.js";

/** Which download clients to watch: those that fit all fields given. */
export interface DownloadClientFilter {
  readonly protocol?: "torrent" | "usenet";
  /** Any of these, such as `qbittorrent`. */
  readonly kinds?: readonly string[];
  /** Any of these. */
  readonly availabilities?: readonly Usability[];
  /** Any of these: what is known of the credentials. */
  readonly credentialStates?: readonly ("unverified" | "verified" | "rejected")[];
  /** Only those that are enabled, or only those that are not. */
  readonly enabled?: boolean;
}

/** Which services to watch: those that fit all fields given. */
export interface ServiceFilter {
  readonly type?: string;
  /** All of these. */
  readonly capabilities?: readonly string[];
  /** Any of these. */
  readonly statuses?: readonly (Usability | "pending")[];
}

/** Whether something can be used: wholly, in part, or not. */
export type Usability = "online" | "degraded" | "offline";

export interface StreamOptions<Filter> extends PulseSecurity {
  /** Where Pulse is: `https://host:port`, or `http://127.0.0.1:port` on this host, or several with commas between. */
  readonly pulse: string;
  /** Bearer token of scope `discover`, or `observe` for no credentials. A function is asked before each attempt. */
  readonly token: TokenSource;
  /** Left out: everything. */
  readonly filter?: Filter;
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** For tests. */
  readonly clock?: Clock;
  /** For tests. */
  readonly random?: Random;
}

/** What comes of a stream of raw responses, which goes on across reconnects. */
export type StreamItem<Response> =
  /**
   * As it came. Who keeps state from it replaces that with the last part of a
   * snapshot, and not before; but a snapshot whose reason is not COMPACTED is of
   * a Pulse that has lost its history: what it lacks may come back with the next
   * changes, and should be kept for some 30 s.
   */
  | { readonly type: "response"; readonly response: Response }
  /**
   * The stream was lost, or could not be opened: it will be tried again in
   * `retryInMs`, or as soon as Pulse can be reached. Attempts count from 1 since
   * the last response. What had come of a snapshot in parts is void.
   */
  | {
      readonly type: "interrupted";
      readonly error: Error;
      readonly attempt: number;
      readonly retryInMs: number;
    }
  /** Pulse refuses the token. It is asked again slowly. */
  | { readonly type: "rejected"; readonly error: Error; readonly retryInMs: number };

export interface WatchOptions<Filter> extends StreamOptions<Filter> {
  /**
   * Last known good: a file (mode 0600, encrypted) from which the next start
   * knows what this one knew, also while Pulse is away. It opens only with the
   * same token, Pulse and filter.
   */
  readonly cache?: { readonly file: string };
  /** Gets a line for each event that is not about an item. Left out, the client writes no log. */
  readonly log?: Log;
}

/** What is known at one moment: never a part of a snapshot or of a commit. */
export type WatchView<Item> = {
  /** In the order of their names, then ids. */
  readonly items: readonly Item[];
  /**
   * What is shown is complete up to here; 0: nothing is known yet. After Pulse has
   * lost its history, items may be shown for a while that it does not know: see `stale`.
   */
  readonly revision: bigint;
} & (
  | {
      /** Nothing is known yet; `error` says why, if an attempt has failed. */
      readonly state: "loading";
      readonly error: Error | undefined;
    }
  | {
      /** Changes are shown as they happen. */
      readonly state: "live";
    }
  | {
      /** There may be changes that are not shown, since this wall-clock time. `error` is the newest cause. */
      readonly state: "stale";
      readonly sinceAt: number;
      readonly error: Error;
    }
  | {
      /** The watch has ended; by `error`, if it was not closed. */
      readonly state: "closed";
      readonly error: Error | undefined;
    }
);

/** Something about one item. */
export type ItemEvent<Item> =
  /** The item is new, or different from `before`. */
  | {
      readonly type: "put";
      readonly item: Item;
      /** What this reader was told last. */
      readonly before: Item | undefined;
      /** Why, for people: `registered`, or `snapshot` if it was just there. */
      readonly reason: string;
      readonly revision: bigint;
    }
  /** The item, shown as it was known last, is gone or fits the filter no more. */
  | {
      readonly type: "delete";
      readonly item: Item;
      readonly reason: string;
      readonly revision: bigint;
    };

/** Something about the watch itself. */
export type StatusEvent =
  /** `current()` is complete and live: at first, and after each loss. */
  | { readonly type: "synced"; readonly revision: bigint }
  /**
   * What is known comes from the file, or Pulse cannot be reached, or not reach its
   * own database: changes may be missed until `synced`. Or Pulse has come back with
   * another history, wiped or restored from a backup, and does not know some items:
   * they are kept for 30 s of its presence, so that their services can register anew,
   * and then deleted; other changes go on being told meanwhile. Said once for the
   * file, once for each loss, and once for a lost history. `retryInMs` is 0 if nothing
   * has to be tried.
   */
  | { readonly type: "stale"; readonly error: Error; readonly retryInMs: number }
  /** Pulse refuses the token; it is asked again slowly. Said once for each cause. */
  | { readonly type: "rejected"; readonly error: Error; readonly retryInMs: number };

export type WatchEvent<Item> = ItemEvent<Item> | StatusEvent;

/**
 * A running watch. It keeps up with Pulse by itself, read or not, and does not
 * keep the process alive; awaiting an event does.
 *
 * Each iteration is a reader of its own: it begins with a `put` for each item
 * that is known. A reader that falls behind misses intermediate states of an
 * item, never its newest one. Iterations end when the watch is closed, and throw
 * InvalidRequestError if Pulse refuses the request as invalid.
 */
export interface Watch<Item> extends AsyncIterable<WatchEvent<Item>> {
  current(): WatchView<Item>;
  /** Ends the watch and its iterations, and leaves no timer, stream or connection behind. Never rejects. */
  close(): Promise<void>;
}
