import type { Clock } from "../lib/clock.js";

/** A timer this late means that the process stood still: it was stopped, or its event loop was blocked. */
const STALL_MS = 1_000;
/** How long one may still come that was on its way while the process stood still. */
const AFTER_STALL_MS = 2_000;

/** Pulse, or what is between, has been silent for too long. */
export class SilenceError extends Error {
  override readonly name = "SilenceError";
}

/**
 * One call with a stream of responses, which does not wait for ever. It begins
 * with the first `next`, and must be ended, however it went.
 */
export class WatchCall<Response> {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #call = new AbortController();
  readonly #open: (signal: AbortSignal) => AsyncIterable<Response>;
  #responses: AsyncIterator<Response> | undefined;
  readonly #onAbort = () => this.end();
  #interrupt = () => {};

  /** @param signal ends the call */
  constructor(
    open: (signal: AbortSignal) => AsyncIterable<Response>,
    clock: Clock,
    signal: AbortSignal,
  ) {
    this.#clock = clock;
    this.#signal = signal;
    this.#open = open;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * The next response; undefined at the end of the stream or of the call.
   * @throws SilenceError after `patienceMs` without one, or what the call fails with
   */
  next(patienceMs: number): Promise<Response | undefined> {
    return new Promise((resolve, reject) => {
      const expect = (delayMs: number) => {
        const dueAt = this.#clock.now() + delayMs;
        return this.#clock.setTimer(delayMs, () => {
          // What Pulse sent meanwhile has not been read yet.
          if (this.#clock.now() - dueAt >= STALL_MS) timer = expect(AFTER_STALL_MS);
          else reject(new SilenceError());
        });
      };
      let timer = expect(patienceMs);
      this.#interrupt = () => {
        timer.cancel();
        resolve(undefined);
      };
      if (this.#call.signal.aborted) return this.#interrupt();
      this.#responses ??= this.#open(this.#call.signal)[Symbol.asyncIterator]();
      this.#responses
        .next()
        .then(({ done, value }) => resolve(done ? undefined : value), reject)
        .finally(() => timer.cancel());
    });
  }

  /** Cancels the call, if it still runs. */
  end(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#call.abort(); // leaving the iteration would not cancel it
    this.#interrupt();
  }
}
