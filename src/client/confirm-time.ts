/**
 * How long Pulse has had to confirm what it has lost: time counts from one word of
 * Pulse to the next, while the watch has caught up with it. So a Pulse that is gone
 * again, or cannot write, uses up none of it, and neither does a watcher that stood
 * still: what was sent to it meanwhile is read first. The caller brings the clock.
 */
export class ConfirmTime {
  #leftMs: number;
  #heardAt: number | undefined;

  constructor(limitMs: number) {
    this.#leftMs = limitMs;
  }

  /** 0: it is over. */
  get leftMs(): number {
    return this.#leftMs;
  }

  /**
   * Pulse has said something.
   * @param patienceMs after a longer silence than this it was the watcher who stood still
   */
  heard(now: number, patienceMs: number): void {
    const passedMs = now - (this.#heardAt ?? now);
    this.#heardAt = now;
    if (passedMs <= patienceMs) this.#leftMs = Math.max(0, this.#leftMs - passedMs);
  }

  /** The watch is behind: what passes until it has caught up does not count. */
  pause(): void {
    this.#heardAt = undefined;
  }
}
