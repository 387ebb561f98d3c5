import { DomainError } from "../core/errors.js";

/** What one commit, or all that was missed, means to one item of a view. */
export interface Delivery<Response> {
  readonly id: string;
  readonly revision: bigint;
  /** About its characters. */
  readonly size: number;
  /** It is the last of its commit: with it, a watcher has seen everything up to `revision`. */
  readonly completes: boolean;
  /** The resume token of its commit. */
  readonly token: string;
  /** The response for a watcher that has seen everything before: the same for all of them. */
  readonly shared: Response;
  /** The response with another resume token. */
  readonly respond: (token: string) => Response;
}

/** What may wait for a watcher that does not keep up. */
export interface WatcherLimits {
  /** Items. */
  readonly maxWaiting: number;
  /** Characters of them, about. */
  readonly maxWaitingSize: number;
}

type State =
  | { readonly name: "open" }
  /** Nothing more comes but this error. */
  | { readonly name: "ended"; readonly error: unknown }
  | { readonly name: "closed" };

/**
 * One watch stream: what it begins with, and then a bounded queue between the hub
 * and the peer. While changes wait, the newest of an item takes the place of the
 * one before; the resume token then stands still until all up to the newest of
 * them is sent, so that it never names a state that the peer has not seen whole.
 */
export class Watcher<Response> implements AsyncIterableIterator<Response, undefined, undefined> {
  readonly tokenId: string;
  readonly #limits: WatcherLimits;
  readonly #onSend: ((response: Response) => void) | undefined;
  readonly #onClose: (watcher: Watcher<Response>, error?: unknown) => void;
  /** In the order of revisions. */
  readonly #waiting = new Map<string, Delivery<Response>>();
  #waitingSize = 0;
  #opening: readonly Response[];
  #opened = 0;
  #bookmark: Response | undefined;
  /** The token that was sent last. */
  #token: string;
  /** Something older than this revision was left out: until it is reached, the token stands still. */
  #wholeFrom = 0n;
  #state: State = { name: "open" };
  #wake: (() => void) | undefined;
  /** When the peer last took something, in monotonic ms. */
  #tookAt: number;
  readonly #now: () => number;

  constructor(options: {
    /** Sent first; the last of them has `token`. */
    readonly opening: readonly Response[];
    readonly token: string;
    /** Of the bearer token that opened it. */
    readonly tokenId: string;
    readonly limits: WatcherLimits;
    /** Monotonic ms. */
    readonly now: () => number;
    /** Called with each response as the peer takes it. */
    readonly onSend?: ((response: Response) => void) | undefined;
    readonly onClose: (watcher: Watcher<Response>, error?: unknown) => void;
  }) {
    this.tokenId = options.tokenId;
    this.#limits = options.limits;
    this.#opening = options.opening;
    this.#token = options.token;
    this.#now = options.now;
    this.#tookAt = options.now();
    this.#onSend = options.onSend;
    this.#onClose = options.onClose;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What a commit means to this watcher: at least one delivery. */
  push(deliveries: readonly Delivery<Response>[]): void {
    if (this.#state.name !== "open") return;
    for (const delivery of deliveries) {
      const replaced = this.#waiting.get(delivery.id);
      if (replaced) {
        this.#waiting.delete(delivery.id);
        this.#waitingSize -= replaced.size;
        this.#wholeFrom = delivery.revision;
      }
      this.#waiting.set(delivery.id, delivery);
      this.#waitingSize += delivery.size;
    }
    const { maxWaiting, maxWaitingSize } = this.#limits;
    if (this.#waiting.size > maxWaiting || this.#waitingSize > maxWaitingSize)
      this.end(laggingError());
    else this.#wakeReader();
  }

  /** Everything up to this bookmark was pushed; it is left out if something waits, which says as much. */
  bookmark(response: Response, token: string): void {
    if (this.#state.name !== "open" || this.#isBehind) return;
    this.#bookmark = response;
    this.#token = token;
    this.#wakeReader();
  }

  /** Ends the stream with an error, and forgets what waits. */
  end(error: unknown): void {
    if (this.#state.name !== "open") return;
    this.#state = { name: "ended", error };
    this.#forget();
    this.#wakeReader();
    this.#onClose(this, error);
  }

  /** Ends the stream if its peer has taken nothing of what waits for so long. */
  endIfStalled(stallMs: number): void {
    if (this.#isBehind && this.#now() - this.#tookAt > stallMs) this.end(laggingError());
  }

  async next(): Promise<IteratorResult<Response, undefined>> {
    for (;;) {
      this.#tookAt = this.#now();
      if (this.#state.name === "closed") return { done: true, value: undefined };
      if (this.#state.name === "ended") {
        const { error } = this.#state;
        this.#state = { name: "closed" };
        throw error;
      }
      const value = this.#take();
      if (value !== undefined) {
        this.#onSend?.(value);
        return { done: false, value };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<Response, undefined>> {
    const { name } = this.#state;
    this.#state = { name: "closed" };
    this.#forget();
    this.#wakeReader();
    if (name === "open") this.#onClose(this);
    return { done: true, value: undefined };
  }

  get #isBehind(): boolean {
    return (
      this.#opened < this.#opening.length || this.#waiting.size > 0 || this.#bookmark !== undefined
    );
  }

  #take(): Response | undefined {
    const opening = this.#opening[this.#opened];
    if (opening !== undefined) {
      this.#opened++;
      if (this.#opened === this.#opening.length) this.#opening = [];
      if (this.#opening.length === 0) this.#opened = 0;
      return opening;
    }
    if (this.#bookmark !== undefined) {
      const bookmark = this.#bookmark;
      this.#bookmark = undefined;
      return bookmark;
    }
    for (const delivery of this.#waiting.values()) {
      this.#waiting.delete(delivery.id);
      this.#waitingSize -= delivery.size;
      return this.#responseOf(delivery);
    }
    return undefined;
  }

  #responseOf(delivery: Delivery<Response>): Response {
    if (!delivery.completes || delivery.revision < this.#wholeFrom)
      return delivery.respond(this.#token);
    this.#token = delivery.token;
    return delivery.shared;
  }

  #forget(): void {
    this.#opening = [];
    this.#opened = 0;
    this.#bookmark = undefined;
    this.#waiting.clear();
    this.#waitingSize = 0;
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function laggingError(): DomainError {
  return new DomainError(
    "this watcher reads too slowly, and too much waits for it: watch again with the last resume_token",
    { kind: "lagging" },
  );
}
