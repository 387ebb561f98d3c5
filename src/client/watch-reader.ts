import { type Clock, holdProcess } from "../lib/clock.js";
import { EventQueue } from "./watch-queue.js";
import type { ItemKind } from "./watch-topics.js";
import type { WatchEvent } from "./watching.js";

type Result<Item> = IteratorResult<WatchEvent<Item>, undefined>;

/** One iteration over a watch. While a `next` waits, it keeps the process alive. */
export class WatchReader<Item> implements AsyncIterator<WatchEvent<Item>, undefined> {
  readonly #clock: Clock;
  readonly #queue: EventQueue<Item>;
  readonly #onLeave: (reader: WatchReader<Item>) => void;
  readonly #asked: { resolve(result: Result<Item>): void; reject(error: Error): void }[] = [];
  #end: { readonly error: Error | undefined } | undefined;
  #hold: { release(): void } | undefined;

  /** @param onLeave called when the reader leaves by itself */
  constructor(
    kind: ItemKind<Item>,
    clock: Clock,
    onLeave: (reader: WatchReader<Item>) => void = () => {},
  ) {
    this.#queue = new EventQueue(kind);
    this.#clock = clock;
    this.#onLeave = onLeave;
  }

  push(event: WatchEvent<Item>): void {
    if (this.#end) return;
    this.#queue.add(event);
    this.#answer();
  }

  /** No more events: at once, or, with an error, after those that wait. */
  end(error?: Error): void {
    if (this.#end) return;
    this.#end = { error };
    if (!error) this.#queue.clear();
    this.#answer();
  }

  next(): Promise<Result<Item>> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject });
      this.#answer();
    });
  }

  return(): Promise<Result<Item>> {
    this.#end = { error: undefined };
    this.#queue.clear();
    this.#answer();
    this.#onLeave(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  #answer(): void {
    for (let asked = this.#asked[0]; asked; asked = this.#asked[0]) {
      const event = this.#queue.take();
      if (event) asked.resolve({ done: false, value: event });
      else if (!this.#end) break;
      else if (this.#end.error) {
        asked.reject(this.#end.error);
        this.#end = { error: undefined }; // an iteration throws once
      } else asked.resolve({ done: true, value: undefined });
      this.#asked.shift();
    }
    if (this.#asked.length > 0) this.#hold ??= holdProcess(this.#clock);
    else {
      this.#hold?.release();
      this.#hold = undefined;
    }
  }
}
