import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import type { WatchConnection } from "./clients.js";
import { REACHABLE_JITTER_MS } from "./pace.js";

/** The connection of a watch: made when it is needed, dropped when it may be half-open. */
export class WatchLink {
  readonly #dial: () => WatchConnection;
  readonly #clock: Clock;
  readonly #random: Random;
  #connection: WatchConnection | undefined;
  #onReady = () => {};

  constructor(dial: () => WatchConnection, clock: Clock, random: Random) {
    this.#dial = dial;
    this.#clock = clock;
    this.#random = random;
  }

  get connection(): WatchConnection {
    if (this.#connection) return this.#connection;
    const connection = this.#dial();
    this.#connection = connection;
    connection.onReady(() => {
      if (this.#connection === connection) this.#onReady();
    });
    return connection;
  }

  /** Calls on a half-open connection would wait for the kernel to notice; the next one is another. */
  drop(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /**
   * Waits `delayMs`, or until the signal aborts; with `untilReady` the connection
   * is made to come up, and once it is there at most a second is left, with
   * jitter. Leaves nothing behind.
   */
  pause(delayMs: number, untilReady: boolean, signal: AbortSignal): Promise<void> {
    const dueAt = this.#clock.now() + delayMs;
    return new Promise((resolve) => {
      const end = () => {
        timer.cancel();
        signal.removeEventListener("abort", end);
        this.#onReady = () => {};
        resolve();
      };
      let timer = this.#clock.setTimer(delayMs, end);
      if (signal.aborted) return end();
      signal.addEventListener("abort", end, { once: true });
      if (!untilReady) return;
      this.#onReady = () => {
        this.#onReady = () => {}; // a wait ends so once only
        const jitterMs = this.#random.next() * REACHABLE_JITTER_MS;
        if (this.#clock.now() + jitterMs >= dueAt) return;
        timer.cancel();
        timer = this.#clock.setTimer(jitterMs, end);
      };
      this.connection.connect();
    });
  }
}
