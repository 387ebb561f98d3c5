import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../src/lib/random.js";

/** Something that happens again and again. Resolves to how many events that were, 1 if it does not say. */
export type Event = () => Promise<number | undefined>;

interface Lane {
  readonly name: string;
  readonly everyMs: number;
  readonly event: Event;
}

/** Events of many kinds at once, each kind one after the other at its own pace. */
export class Churn {
  readonly #lanes: Lane[] = [];
  readonly #counts = new Map<string, number>();
  readonly #random: Random;
  #running: Promise<unknown> | undefined;
  #stopping = new AbortController();

  constructor(random: Random) {
    this.#random = random;
  }

  /** How often each kind has happened. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Pauses of `everyMs`, more or less, lie between two events of this kind. */
  add(name: string, everyMs: number, event: Event): void {
    this.#counts.set(name, 0);
    this.#lanes.push({ name, everyMs, event });
  }

  start(): void {
    this.#stopping = new AbortController();
    setMaxListeners(0, this.#stopping.signal); // one for each kind
    this.#running = Promise.all(this.#lanes.map((lane) => this.#run(lane)));
    this.#running.catch(() => {}); // `stop` tells it
  }

  /** Resolves when the last events are over. Rejects if one of them has failed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run({ name, everyMs, event }: Lane): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await sleep(2 * everyMs * this.#random.next(), undefined, { signal });
      } catch {
        return;
      }
      const count = await event().catch((cause: unknown) => {
        throw new Error(`${name}: it has failed`, { cause });
      });
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + (count ?? 1));
    }
  }
}
