import type { Clock, Timer } from "../../src/lib/clock.js";

/** A clock that moves only when told, and runs its timers in order of their time. */
export class ManualClock implements Clock {
  #now: number;
  #wallOffset: number;
  #sequence = 0;
  readonly #timers = new Set<{ at: number; sequence: number; fn: () => void }>();

  constructor(startMs = 1_000, wallMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
    this.#wallOffset = wallMs - startMs;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now + this.#wallOffset;
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), sequence: this.#sequence++, fn };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Timers that wait: a test that has ended should find 0. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves time on by `ms`, running each timer at its own time, without letting promises settle. */
  advanceSync(ms: number): void {
    const end = this.#now + ms;
    for (let timer = this.#due(end); timer; timer = this.#due(end)) this.#fire(timer);
    this.#now = end;
  }

  /** Moves time on by `ms`; promises settle before, between and after the timers. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let timer = this.#due(end); timer; timer = this.#due(end)) {
      this.#fire(timer);
      await settle();
    }
    this.#now = end;
    await settle();
  }

  /** The process stands still for `ms`: time passes and no timer runs until it goes on. */
  stall(ms: number): void {
    this.#now += ms;
  }

  /** The process is gone, and its timers with it. */
  cancelAll(): void {
    this.#timers.clear();
  }

  /** Someone sets the wall clock. */
  setWall(wallMs: number): void {
    this.#wallOffset = wallMs - this.#now;
  }

  #due(end: number) {
    let first: { at: number; sequence: number; fn: () => void } | undefined;
    for (const timer of this.#timers) {
      if (timer.at > end) continue;
      if (
        !first ||
        timer.at < first.at ||
        (timer.at === first.at && timer.sequence < first.sequence)
      )
        first = timer;
    }
    return first;
  }

  #fire(timer: { at: number; sequence: number; fn: () => void }): void {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.fn();
  }
}

/** Lets promises and immediates that are ready run. */
export async function settle(turns = 5): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
