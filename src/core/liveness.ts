/**
 * Guards against taking our own fault for the death of many. When more than half
 * of six or more instances would lapse within one TTL, the likelier cause is this
 * host or its network: their expiry is held for one more TTL, and then goes on.
 * (Eureka's self-preservation holds for ever; the bound is what it lacks.)
 */
export type GuardState =
  | { readonly name: "watching" }
  /** Nothing lapses until `untilMs` (registry time). */
  | { readonly name: "holding"; readonly untilMs: number }
  /** The hold is over: lapses are carried out and not held again until `untilMs`. */
  | { readonly name: "proceeding"; readonly untilMs: number };

const MIN_POPULATION = 6;

export class LapseGuard {
  #state: GuardState = { name: "watching" };
  /** Registry times of lapses carried out within the last window. */
  #lapsedAt: number[] = [];

  /** @param windowMs the TTL in which lapses are counted, and for which they are held. */
  constructor(private readonly windowMs: number) {}

  get state(): GuardState {
    return this.#state;
  }

  /**
   * Whether instances that are due may lapse now.
   * @param due how many would lapse now
   * @param alive how many give signs of life, also of being OFFLINE, the due ones included
   * @param doubtful how many of the others may be about to: heartbeats come at different
   *   moments, so those that fall silent together are not due together
   */
  allows(nowMs: number, due: number, alive: number, doubtful = 0): boolean {
    this.#lapsedAt = this.#lapsedAt.filter((at) => at > nowMs - this.windowMs && at <= nowMs);
    this.#state = this.#next(nowMs, due, alive, doubtful);
    if (this.#state.name === "holding") return false;
    for (let i = 0; i < due; i++) this.#lapsedAt.push(nowMs);
    return true;
  }

  #next(nowMs: number, due: number, alive: number, doubtful: number): GuardState {
    const state = this.#state;
    if (state.name === "holding")
      return this.#lasts(nowMs, state)
        ? state
        : { name: "proceeding", untilMs: nowMs + this.windowMs };
    if (state.name === "proceeding" && this.#lasts(nowMs, state)) return state;
    const lapsing = this.#lapsedAt.length + due + doubtful;
    const population = this.#lapsedAt.length + alive;
    if (due > 0 && population >= MIN_POPULATION && lapsing > population / 2)
      return { name: "holding", untilMs: nowMs + this.windowMs };
    return { name: "watching" };
  }

  /** No longer than a window, also if registry time went back, with a backup that was restored. */
  #lasts(nowMs: number, { untilMs }: { readonly untilMs: number }): boolean {
    return nowMs < untilMs && nowMs >= untilMs - this.windowMs;
  }
}
