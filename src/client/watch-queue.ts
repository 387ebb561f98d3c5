import type { ItemKind } from "./watch-topics.js";
import type { WatchEvent } from "./watching.js";

const STATUS = Symbol("status");

/**
 * Events that wait for a reader, at most one for each item and one about the
 * watch itself: a reader that does not read costs no more than there are items.
 * The newest takes the place of one that waits, at the end of the queue, so
 * revisions never fall. What comes and goes unread is not told at all.
 */
export class EventQueue<Item> {
  readonly #kind: ItemKind<Item>;
  readonly #waiting = new Map<
    string | symbol,
    /** `seen`: the item as the reader was told last. */
    { readonly event: WatchEvent<Item>; readonly seen?: Item | undefined }
  >();

  constructor(kind: ItemKind<Item>) {
    this.#kind = kind;
  }

  get length(): number {
    return this.#waiting.size;
  }

  add(event: WatchEvent<Item>): void {
    if (event.type !== "put" && event.type !== "delete") {
      this.#waiting.delete(STATUS);
      this.#waiting.set(STATUS, { event });
      return;
    }
    const id = this.#kind.idOf(event.item);
    const waiting = this.#waiting.get(id);
    const seen = waiting ? waiting.seen : event.type === "put" ? event.before : event.item;
    this.#waiting.delete(id);
    if (event.type === "put") this.#waiting.set(id, { event: { ...event, before: seen }, seen });
    else if (seen !== undefined) this.#waiting.set(id, { event, seen });
  }

  /** The next event, if there is one. */
  take(): WatchEvent<Item> | undefined {
    for (const [key, { event }] of this.#waiting) {
      this.#waiting.delete(key);
      return event;
    }
    return undefined;
  }

  clear(): void {
    this.#waiting.clear();
  }
}
