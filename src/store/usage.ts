import { StoreUnavailableError } from "./store.js";

/** The use of a store until its end: what runs is waited for, what comes later is refused. */
export class Usage {
  readonly #running = new Set<Promise<unknown>>();
  #ending: Promise<void> | undefined;

  /** For long uses, between their steps. @throws StoreUnavailableError after `end` was called. */
  check(): void {
    if (this.#ending) throw new StoreUnavailableError("the store is closed");
  }

  /** @throws StoreUnavailableError after `end` was called. */
  async during<T>(action: () => Promise<T>): Promise<T> {
    this.check();
    const running = action();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Calls `finish` when nothing runs any more; once, however often it is called. */
  end(finish: () => Promise<void>): Promise<void> {
    this.#ending ??= Promise.allSettled(this.#running).then(finish);
    return this.#ending;
  }
}
