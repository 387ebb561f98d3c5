import type { Metadata } from "@grpc/grpc-js";
import type { Clock, Timer } from "../lib/clock.js";
import { type GrpcStatus, isEndOfCall, statusOfFailure } from "./grpc-status.js";
import type { GrpcHandlerContext } from "./handler-context.js";
import { toMetadata } from "./metadata.js";
import type { RequestStream } from "./request-stream.js";

/** The side of a grpc-js call that answers with a stream. */
interface Responder {
  /** What was written and is not yet sent, in messages. */
  readonly writableLength: number;
  write(message: unknown, onSent?: () => void): boolean;
  end(trailer?: Metadata): void;
  emit(event: "error", status: GrpcStatus): boolean;
  once(event: "cancelled", listener: () => void): unknown;
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
  #resume: (() => void) | undefined;

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
        if (responder.writableLength === 0) responder.write(result.value);
        else await this.#writeAndWait(result.value);
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
    this.#resume?.();
    void this.#returnIterator();
  }

  async #returnIterator(): Promise<void> {
    try {
      await this.#iterator?.return?.();
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Writes a message behind another that is not yet sent, and waits until it is sent as
   * well: a peer that never reads holds two of them. grpc-js itself would take 16,
   * whatever their size. After the end of a call nothing is sent: `#abandon` ends this
   * wait too.
   */
  #writeAndWait(message: unknown): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
      this.#call.responder.write(message, () => resolve());
    });
  }
}
