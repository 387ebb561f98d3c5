import type { Interceptor } from "@connectrpc/connect";
import type { BareConnection } from "./clients.js";
import { unavailable } from "./failure.js";
import { SharedStream } from "./shared-stream.js";

/**
 * A connection as long as it is neither dropped nor its endpoint left, and what runs over
 * it. Streams outlive the leaving: who is well there stays.
 */
export class SharedRoute {
  readonly connection: BareConnection;
  /** How often endpoints had been left when this one began. */
  readonly turn: number;
  /** The streams that may be joined, by what authorizes them: one for each token in use. */
  readonly #streams = new Map<Interceptor, SharedStream>();
  readonly #calls = new Set<AbortController>();
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(connection: BareConnection, turn: number) {
    this.connection = connection;
    this.turn = turn;
  }

  /** The stream that this authorizes; opened by the first that joins. */
  streamFor(authorize: Interceptor): SharedStream {
    const open = this.#streams.get(authorize);
    if (open) return open;
    const stream = new SharedStream({
      registry: this.connection.registryFor(authorize),
      onOver: () => this.retire(stream),
    });
    this.#streams.set(authorize, stream);
    return stream;
  }

  /** Nobody joins this stream any more; who is on it stays. */
  retire(stream: SharedStream): void {
    for (const [authorize, open] of this.#streams)
      if (open === stream) this.#streams.delete(authorize);
  }

  /** Makes a call that ends with the route, too. */
  async call<T>(
    signal: AbortSignal | undefined,
    make: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const call = new AbortController();
    const onAbort = () => call.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#calls.add(call);
    try {
      return await make(call.signal);
    } finally {
      this.#calls.delete(call);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** A heartbeat that left at `askedAt` has been answered. */
  noteAnswer(askedAt: number): void {
    this.#answeredAt = Math.max(this.#answeredAt, askedAt);
  }

  /** Whether something that was asked later than that has been answered. */
  hasAnsweredSince(askedAt: number): boolean {
    return this.#answeredAt > askedAt;
  }

  /** Ends all that runs over it, for whoever runs it. */
  end(): void {
    const { error } = unavailable("the connection was given up, since Pulse did not answer on it");
    for (const stream of [...this.#streams.values()]) stream.end(error);
    for (const call of [...this.#calls]) call.abort(error);
  }
}
