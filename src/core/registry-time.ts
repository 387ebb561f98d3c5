/**
 * The time in which leases expire. It stands still while no Pulse runs, since it
 * goes on from where the store left it, and while the process is stalled (paused,
 * suspended, blocked), since no step of it is longer than `maxStepMs`. So neither
 * a restart nor a stall expires anyone, and frequent restarts still add up.
 */
export class RegistryTime {
  #nowMs: number;
  #lastMonotonicMs: number;

  constructor(
    startMs: number,
    private readonly monotonicNow: () => number,
    private readonly maxStepMs: number,
  ) {
    this.#nowMs = startMs;
    this.#lastMonotonicMs = monotonicNow();
  }

  /** Registry time in ms. Must be asked at least every `maxStepMs`, or it falls behind. */
  now(): number {
    const monotonicMs = this.monotonicNow();
    this.#nowMs += Math.min(Math.max(0, monotonicMs - this.#lastMonotonicMs), this.maxStepMs);
    this.#lastMonotonicMs = monotonicMs;
    return this.#nowMs;
  }
}

/**
 * Registry time as several nodes share it: the database keeps it, by its own
 * clock, and each node asks now and then. In between it goes on here, but for
 * `maxAheadMs` at most: with the database away it stands still for everybody.
 */
export class SharedRegistryTime {
  #heardMs: number;
  #heardAt: number;
  #nowMs: number;

  constructor(
    startMs: number,
    private readonly monotonicNow: () => number,
    private readonly maxAheadMs: number,
  ) {
    this.#heardMs = startMs;
    this.#nowMs = startMs;
    this.#heardAt = monotonicNow();
  }

  /** What the database says it is. Less than was counted here can only mean that a backup was restored. */
  hear(ms: number): void {
    if (ms < this.#nowMs - this.maxAheadMs) this.#nowMs = ms;
    this.#heardMs = ms;
    this.#heardAt = this.monotonicNow();
  }

  /** Registry time in ms; goes back only if that of the database did. */
  now(): number {
    const sinceMs = Math.min(this.monotonicNow() - this.#heardAt, this.maxAheadMs);
    this.#nowMs = Math.max(this.#nowMs, this.#heardMs + sinceMs);
    return this.#nowMs;
  }
}
