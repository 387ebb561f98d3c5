import type { ItemKind, Snapshot, Told } from "./watch-topics.js";
import type { ItemEvent, WatchEvent } from "./watching.js";

/** Why an item is there that no change has told of. */
const FROM_SNAPSHOT = "snapshot";
const NOT_IN_SNAPSHOT = "not in the snapshot";

interface Known<Item> {
  readonly item: Item;
  /** Of its newest change. */
  readonly reason: string;
  readonly revision: bigint;
}

interface Change<Item> {
  readonly type: "put" | "delete";
  readonly item: Item;
  readonly reason: string;
  readonly revision: bigint;
}

/**
 * What a watch knows, and how each response changes that. It does no I/O and
 * knows no time.
 *
 * Invariants, each with a test in watch-state.test.ts:
 *
 * 1. What it shows is Pulse's state at `revision`, and besides that only what is
 *    unconfirmed: the parts of a snapshot and the changes of a commit take effect
 *    together, when the last has come.
 * 2. An item goes only by a DELETE, by a complete snapshot without it in the same
 *    history, or by `dropUnconfirmed`.
 * 3. The events, applied in order, lead from what was shown to what is shown.
 * 4. The resume token never names more than what is shown.
 * 5. What a complete snapshot of another history lacks is unconfirmed, until Pulse
 *    names it again: its services may not have registered anew yet.
 * 6. It is in step (`synced`) only while the stream has caught up and nothing is
 *    unconfirmed.
 */
export class WatchState<Item> {
  readonly #kind: ItemKind<Item>;
  readonly #known = new Map<string, Known<Item>>();
  #revision = 0n;
  #resumeToken = "";
  /** Parts of a snapshot whose last one has not come. */
  #parts: Item[] | undefined;
  /** Changes of a commit that has not come whole. */
  #unfinished: Change<Item>[] = [];
  /** Ids of items that are kept, though Pulse does not know them now. */
  readonly #unconfirmed = new Set<string>();
  /** `caught-up`: with Pulse, which has yet to confirm items that were known. */
  #stream: "catching-up" | "caught-up" | "live" = "catching-up";
  #sorted: readonly Item[] | undefined;

  constructor(kind: ItemKind<Item>) {
    this.#kind = kind;
  }

  /** In the order of their names, then ids. The same array until something changes. */
  get items(): readonly Item[] {
    this.#sorted ??= [...this.#known.values()].map(({ item }) => item).sort(byName(this.#kind));
    return this.#sorted;
  }

  get revision(): bigint {
    return this.#revision;
  }

  get resumeToken(): string {
    return this.#resumeToken;
  }

  /** Ids of those items that Pulse, having lost its history, does not know now. */
  get unconfirmed(): ReadonlySet<string> {
    return this.#unconfirmed;
  }

  /** Whether all that Pulse knows has been told, by a Pulse that is itself up to date. */
  get isCaughtUp(): boolean {
    return this.#stream !== "catching-up";
  }

  /** What tells somebody who knows nothing of all that is known, in the order of revisions. */
  introduction(): ItemEvent<Item>[] {
    return [...this.#known.values()]
      .sort((a, b) => Number(a.revision - b.revision))
      .map((known) => ({ type: "put", before: undefined, ...known }));
  }

  /** Begins with what was known at an earlier time. */
  restore({ items, revision, resumeToken }: Snapshot<Item>): ItemEvent<Item>[] {
    this.#resumeToken = resumeToken;
    this.#revision = revision;
    return this.#replaceAll(items, revision, "same");
  }

  /** The stream is lost: what it had not told whole, the next one tells again. */
  interrupt(): void {
    this.#parts = undefined;
    this.#unfinished = [];
    this.#stream = "catching-up";
  }

  /** What the response comes to; `synced` when it is in step from now on (invariant 6). */
  apply({ event, revision, resumeToken, isStale }: Told<Item>): WatchEvent<Item>[] {
    if (isStale) this.#stream = "catching-up";
    if (event.type === "put" || event.type === "delete")
      this.#unfinished.push({ ...event, revision });
    if (event.type === "snapshot") {
      this.#parts ??= [];
      for (const item of event.items) this.#parts.push(item);
      if (event.more) return [];
      const events = this.#replaceAll(this.#parts, revision, event.history);
      this.#parts = undefined;
      this.#unfinished = this.#unfinished.filter((change) => change.revision > revision);
      return [...events, ...this.#complete(revision, resumeToken, true, isStale)];
    }
    // Nothing is complete while parts are missing.
    return this.#parts
      ? []
      : this.#complete(revision, resumeToken, event.type === "bookmark", isStale);
  }

  /**
   * Deletes what is unconfirmed: Pulse has had the time to hear of it again. Does
   * nothing before the stream has caught up, or while a commit has not come whole,
   * since that may confirm something.
   */
  dropUnconfirmed(): WatchEvent<Item>[] {
    if (!this.isCaughtUp || this.#parts || this.#unfinished.length > 0) return [];
    const revision = this.#revision;
    return [...this.#deleteAll([...this.#unconfirmed], revision), ...this.#sync()];
  }

  /** Takes note of how far everything has come; until the token moves, a commit may have more to it. */
  #complete(
    revision: bigint,
    resumeToken: string,
    isMark: boolean,
    isStale: boolean,
  ): WatchEvent<Item>[] {
    const moved = resumeToken !== "" && resumeToken !== this.#resumeToken;
    const events: WatchEvent<Item>[] = [];
    if (moved || isMark) {
      for (const change of this.#unfinished) events.push(...this.#change(change));
      this.#unfinished = [];
    }
    if (this.#unfinished.length === 0) this.#revision = revision;
    if (moved) this.#resumeToken = resumeToken;
    if (isMark && !isStale && this.#stream === "catching-up") this.#stream = "caught-up";
    return [...events, ...this.#sync()];
  }

  #sync(): WatchEvent<Item>[] {
    if (this.#stream !== "caught-up" || this.#unconfirmed.size > 0) return [];
    this.#stream = "live";
    return [{ type: "synced", revision: this.#revision }];
  }

  #change({ type, item, reason, revision }: Change<Item>): ItemEvent<Item>[] {
    const id = this.#kind.idOf(item);
    const before = this.#known.get(id)?.item;
    this.#sorted = undefined;
    this.#unconfirmed.delete(id);
    if (type === "put") {
      this.#known.set(id, { item, reason, revision });
      return [{ type, item, before, reason, revision }];
    }
    this.#known.delete(id);
    return before === undefined ? [] : [{ type, item: before, reason, revision }];
  }

  #replaceAll(
    items: readonly Item[],
    revision: bigint,
    history: "same" | "another",
  ): ItemEvent<Item>[] {
    const events: ItemEvent<Item>[] = [];
    const missing = new Set(this.#known.keys());
    this.#sorted = undefined;
    for (const item of items) {
      const id = this.#kind.idOf(item);
      missing.delete(id);
      this.#unconfirmed.delete(id);
      const known = this.#known.get(id);
      if (known && this.#kind.isSame(known.item, item)) {
        this.#known.set(id, { ...known, item });
        continue;
      }
      events.push(...this.#change({ type: "put", item, reason: FROM_SNAPSHOT, revision }));
    }
    if (history === "same") return [...events, ...this.#deleteAll(missing, revision)];
    for (const id of missing) this.#unconfirmed.add(id);
    if (missing.size > 0 && this.#stream === "live") this.#stream = "caught-up";
    return events;
  }

  #deleteAll(ids: Iterable<string>, revision: bigint): ItemEvent<Item>[] {
    const events: ItemEvent<Item>[] = [];
    for (const id of ids) {
      const item = this.#known.get(id)?.item;
      if (item !== undefined)
        events.push(...this.#change({ type: "delete", item, reason: NOT_IN_SNAPSHOT, revision }));
    }
    return events;
  }
}

function byName<Item>({ nameOf, idOf }: ItemKind<Item>) {
  return (a: Item, b: Item) => compare(nameOf(a), nameOf(b)) || compare(idOf(a), idOf(b));
}

/** By characters, as Pulse sorts its lists: the same everywhere, whatever the locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
