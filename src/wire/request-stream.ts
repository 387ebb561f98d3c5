import type { Readable } from "node:stream";
import { ConnectError } from "@connectrpc/connect";

/** Messages that wait for the handler. Past them the peer's flow control window fills. */
const MAX_WAITING = 16;
/** When so few wait, more are read. */
const RESUME_AT = 4;

/**
 * A request, or the error that came in its place because its bytes are no message.
 * @throws that error
 */
export function checkDecoded(request: unknown): unknown {
  if (request instanceof ConnectError) throw request;
  return request;
}

interface Reader {
  readonly resolve: (result: IteratorResult<unknown, undefined>) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * The request messages of a call, read as fast as the handler asks for them. The
 * iterator of the call itself would not do: it destroys the call, and the answers
 * with it, as soon as the peer has sent its last message.
 */
export class RequestStream implements AsyncIterableIterator<unknown, undefined, undefined> {
  readonly #call: Readable;
  readonly #waiting: unknown[] = [];
  readonly #readers: Reader[] = [];
  #state:
    | { readonly name: "unread" | "open" | "ended" }
    | { readonly name: "broken"; readonly reason: unknown } = { name: "unread" };

  constructor(call: Readable) {
    this.#call = call;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#waiting.length > 0) {
      const value = this.#waiting.shift();
      if (this.#waiting.length <= RESUME_AT && this.#call.isPaused()) this.#call.resume();
      return Promise.resolve({ done: false, value });
    }
    if (this.#state.name === "unread") this.#open();
    if (this.#state.name === "ended") return Promise.resolve({ done: true, value: undefined });
    if (this.#state.name === "broken") return Promise.reject(this.#state.reason);
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  /** The handler wants no more: what comes is not read, and the peer has to wait. */
  return(): Promise<IteratorResult<unknown, undefined>> {
    this.#waiting.length = 0;
    this.#state = { name: "ended" };
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: undefined });
    this.#call.pause();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** What the peer sends is no message: the handler gets those before it, and then this. */
  #break(reason: ConnectError): void {
    this.#state = { name: "broken", reason };
    this.#call.pause();
    for (const reader of this.#readers.splice(0)) reader.reject(reason);
  }

  /** The call is over: a handler that has not read all gets `reason`, never a part as if it were all. */
  fail(reason: unknown): void {
    if (this.#state.name === "ended" && this.#waiting.length === 0) return;
    this.#waiting.length = 0;
    this.#state = { name: "broken", reason };
    for (const reader of this.#readers.splice(0)) reader.reject(reason);
  }

  #open(): void {
    this.#state = { name: "open" };
    this.#call.on("data", (message: unknown) => this.#receive(message));
    // A stream that breaks off ends as well, a moment before it is told to be cancelled:
    // half of what a peer had to say must not look like all of it.
    this.#call.on("end", () => setImmediate(() => this.#end()));
  }

  #receive(message: unknown): void {
    if (this.#state.name !== "open") return;
    if (message instanceof ConnectError) {
      this.#break(message);
      return;
    }
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ done: false, value: message });
    else if (this.#waiting.push(message) >= MAX_WAITING) this.#call.pause();
  }

  #end(): void {
    if (this.#state.name !== "open") return;
    this.#state = { name: "ended" }; // those that wait are still read
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }
}
