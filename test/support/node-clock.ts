import type { Clock, Timer } from "../../src/lib/clock.js";

/** The clock of one process in a world of several: its timers stop with it. */
export class NodeClock implements Clock {
  readonly #world: Clock;
  readonly #timers = new Set<Timer>();
  #missed: (() => void)[] = [];
  #state: "running" | "paused" | "gone" = "running";

  constructor(world: Clock) {
    this.#world = world;
  }

  now(): number {
    return this.#world.now();
  }

  wallNow(): number {
    return this.#world.wallNow();
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    if (this.#state === "gone") return { cancel() {} };
    let isCancelled = false;
    const run = () => {
      if (!isCancelled) fn();
    };
    const timer = this.#world.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      if (this.#state === "paused") this.#missed.push(run);
      else run();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        isCancelled = true;
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  pause(): void {
    if (this.#state === "running") this.#state = "paused";
  }

  /** Goes on, with all that it missed. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "running";
    const missed = this.#missed;
    this.#missed = [];
    for (const run of missed) run();
  }

  /** The process is gone. */
  kill(): void {
    this.#state = "gone";
    this.#missed = [];
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}
