import type { CommitSummary } from "../core/change.js";
import type { SnapshotCause, WatchTopic } from "./watch-topic.js";
import type { Delivery, Watcher } from "./watcher.js";

/** Characters of one part of a snapshot: what waits in a stream that is not read is a few of these. */
const MAX_PART_SIZE = 64 * 1_024;
/** Different ones that a view keeps. */
const MAX_OPENINGS = 4;

/** What a change means to one view. */
export interface ViewChange<Item> {
  readonly commit: Pick<CommitSummary, "revision" | "reason">;
  readonly id: string;
  /** Before and after it, if the view has it then. */
  readonly before: Item | undefined;
  readonly after: Item | undefined;
}

/** A commit's place, as responses name it. */
export interface Point {
  readonly revision: bigint;
  readonly token: string;
  /** There may be newer ones that are not known here yet. */
  readonly stale: boolean;
}

/** All watchers that see the same: one filter, with credentials or without. */
export class WatchView<Item extends object, Traits, Response> {
  readonly matches: (traits: Traits) => boolean;
  readonly watchers = new Set<Watcher<Response>>();
  readonly #topic: WatchTopic<Item, Traits, Response>;
  readonly #withCredentials: boolean;
  /** Of those who came last, by what they came with and to which point it leads. */
  readonly #openings = new Map<string, readonly Response[]>();

  constructor(
    topic: WatchTopic<Item, Traits, Response>,
    matches: (traits: Traits) => boolean,
    withCredentials: boolean,
  ) {
    this.#topic = topic;
    this.matches = matches;
    this.#withCredentials = withCredentials;
  }

  /** The item, if it is in this view. */
  pick(item: Item | undefined): Item | undefined {
    return item && this.matches(this.#topic.traitsOf(item)) ? item : undefined;
  }

  /** Tells all watchers of a commit's changes, encoded once. */
  publish(changes: readonly ViewChange<Item>[], point: Point): void {
    const seen = changes.filter(({ before, after }) => before || after);
    if (seen.length === 0) return;
    this.forgetOpenings();
    const deliveries = seen.map((change, i) =>
      this.#deliveryOf(change, point, i === seen.length - 1),
    );
    for (const watcher of this.watchers) watcher.push(deliveries);
  }

  #deliveryOf(change: ViewChange<Item>, point: Point, completes: boolean): Delivery<Response> {
    const respond = this.#responderOf(change);
    return {
      id: change.id,
      revision: point.revision,
      size: this.#topic.sizeOf(change.after ?? change.before),
      completes,
      token: point.token,
      shared: respond(point.token),
      respond,
    };
  }

  #responderOf({ commit, id, before, after }: ViewChange<Item>): (token: string) => Response {
    const { revision, reason } = commit;
    const respond = after
      ? this.#topic.put(after, this.#withCredentials)
      : this.#topic.gone(id, before);
    return (token) => respond({ revision, reason, token });
  }

  /**
   * The responses that lead from `from` to the state at `point`, the last one a bookmark.
   * Those who come with the same token get the same: after a break of the network, all do.
   */
  catchUp(
    changes: () => readonly ViewChange<Item>[],
    from: string,
    point: Point,
  ): readonly Response[] {
    return this.#opening(`${from} ${point.token} ${point.stale}`, () => [
      ...changes().map((change, i, { length }) =>
        this.#responderOf(change)(i === length - 1 ? point.token : from),
      ),
      this.#topic.bookmark(point),
    ]);
  }

  /** The state at `point`, which must be the newest, in one part or several. */
  snapshot(cause: SnapshotCause, point: Point): readonly Response[] {
    return this.#opening(`${cause} ${point.token} ${point.stale}`, () => this.#parts(cause, point));
  }

  /** To be called now and then: they are kept for those who come together, and may be large. */
  forgetOpenings(): void {
    this.#openings.clear();
  }

  #opening(key: string, make: () => readonly Response[]): readonly Response[] {
    let opening = this.#openings.get(key);
    if (!opening) {
      opening = make();
      if (this.#openings.size >= MAX_OPENINGS) this.forgetOpenings();
      this.#openings.set(key, opening);
    }
    return opening;
  }

  #parts(cause: SnapshotCause, point: Point): readonly Response[] {
    const topic = this.#topic;
    const parts: Item[][] = [[]];
    let size = 0;
    for (const item of topic.items()) {
      if (!this.pick(item)) continue;
      size += topic.sizeOf(item);
      if (size > MAX_PART_SIZE && parts.at(-1)?.length) {
        parts.push([]);
        size = topic.sizeOf(item);
      }
      parts.at(-1)?.push(item);
    }
    return parts.map((part, i) => {
      const more = i < parts.length - 1;
      const { revision, token, stale } = point;
      const meta = { cause, more, revision, token: more ? "" : token, stale };
      return topic.snapshot(part, this.#withCredentials, meta);
    });
  }
}
