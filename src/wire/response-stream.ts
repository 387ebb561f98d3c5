import type { Metadata } from "@grpc/grpc-js";
import type { Clock, Timer } from "../lib/clock.js";
import { type GrpcStatus, isEndOfCall, statusOfFailure } from "./grpc-status.js";
import type { GrpcHandlerContext } from "./handler-context.js";
import { toMetadata } from "./metadata.js";
import type { RequestStream } from "./request-stream.js";

/** The side of a grpc-js call that answers with a stream. */
interface Responder {
  write(message: unknown): boolean;
  end(trailer?: Metadata): void;
  emit(event: "error", status: GrpcStatus): boolean;
  once(event: "cancelled" | "drain", listener: () => void): unknown;
}

/** A call that answers with a stream, and what belongs to it. */
export interface StreamingCall {
  readonly responder: Responder;
  readonly context: GrpcHandlerContext;
  /** What the peer streams, if it does. */
  readonly requests: RequestStream | undefined;
  readonly clock: Clock;
  readonly onInternalError: (error: unknown) => void;
}

/**
 * Sends the responses of a handler as fast as the peer reads them, and then the
 * status. When the call is over early (the peer cancels or is gone, the deadline
 * passes), the handler's iterator is told by `return()` at once, even while it
 * works on its next response: its cleanup runs, and nothing of it is kept.
 */
export class ResponseStream {
  readonly #call: StreamingCall;
  readonly #deadline: Timer | undefined;
  #iterator: AsyncIterator<unknown> | undefined;
  #isOver = false;
  #onDrained: (() => void) | undefined;

  constructor(call: StreamingCall) {
    this.#call = call;
    const { responder, context, clock } = call;
    responder.once("cancelled", () => this.#abandon());
    // grpc-js sends the status at the deadline, but tells of it only once a peer has
    // read all that came before: not for a peer that never reads.
    const timeoutMs = context.timeoutMs();
    if (timeoutMs !== undefined) this.#deadline = clock.setTimer(timeoutMs, () => this.#abandon());
  }

  /** Resolves when the handler has ended or is abandoned; never rejects. */
  async send(respond: () => AsyncIterable<unknown>): Promise<void> {
    const { responder, context } = this.#call;
    try {
      const iterator = respond()[Symbol.asyncIterator]();
      this.#iterator = iterator;
      for (;;) {
        const result = await iterator.next();
        if (this.#isOver) return;
        if (result.done) break;
        context.sendHeader();
        if (!responder.write(result.value)) await this.#drained();
        if (this.#isOver) return;
      }
      this.#succeed();
    } catch (error) {
      this.#fail(error);
    }
  }

  #succeed(): void {
    const { responder, context } = this.#call;
    context.sendHeader();
    if (context.trailer) responder.end(toMetadata(context.trailer));
    else responder.end();
    this.#finish();
  }

  #fail(error: unknown): void {
    const { responder, context, onInternalError } = this.#call;
    if (this.#isOver) {
      if (!isEndOfCall(error)) onInternalError(error);
      return;
    }
    // grpc-js takes the status from this event, and sends it after what was written.
    responder.emit("error", statusOfFailure(error, context, onInternalError));
    this.#finish();
    void this.#returnIterator(); // it may not be its own error: a header that cannot be sent
  }

  #finish(): void {
    const { context, requests } = this.#call;
    this.#isOver = true;
    this.#deadline?.cancel();
    requests?.fail(context.endReason);
  }

  #abandon(): void {
    if (this.#isOver) return;
    this.#finish();
    this.#call.context.abort();
    this.#onDrained?.();
    void this.#returnIterator();
  }

  async #returnIterator(): Promise<void> {
    try {
      await this.#iterator?.return?.();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A write after the end of a call is never drained: `#abandon` ends this wait as well. */
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#onDrained = resolve;
      this.#call.responder.once("drain", resolve);
    });
  }
}
