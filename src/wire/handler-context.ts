import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import type { Metadata, ServerUnaryCall } from "@grpc/grpc-js";
import type { Clock } from "../lib/clock.js";
import { withoutMapping } from "../lib/host.js";
import { toHeaders, toMetadata } from "./metadata.js";

/** What the four kinds of grpc-js calls have in common, as far as it is needed here. */
export interface ServerCall
  extends Pick<
    ServerUnaryCall<unknown, unknown>,
    "cancelled" | "metadata" | "sendMetadata" | "getDeadline" | "getPath" | "getHost" | "getPeer"
  > {
  once(event: "cancelled", listener: () => void): unknown;
}

/** Node's timers may fire a little before the wall clock says so. */
const TIMER_SLACK_MS = 2;

/**
 * The context of a call over gRPC. Most handlers look at little of it, and headers,
 * signal and values cost more than all the rest of a call: each is made when it is
 * asked for.
 */
export class GrpcHandlerContext implements HandlerContext {
  readonly method: DescMethod;
  readonly #call: ServerCall;
  readonly #clock: Clock;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;
  #controller: AbortController | undefined;
  #isAborted = false;
  #isHeaderSent = false;

  constructor(method: DescMethod, call: ServerCall, clock: Clock) {
    this.method = method;
    this.#call = call;
    this.#clock = clock;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get protocolName(): string {
    return "grpc";
  }

  get requestMethod(): string {
    return "POST";
  }

  get url(): string {
    return `http://${this.#call.getHost()}${this.#call.getPath()}`;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= toHeaders(this.#call.metadata);
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  get values(): ContextValues {
    this.#values ??= createContextValues();
    return this.#values;
  }

  /** Aborts at the deadline, when the peer cancels or is gone, and when the call has ended. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#isAborted || this.#call.cancelled) this.abort();
      else this.#call.once("cancelled", () => this.abort());
    }
    return this.#controller.signal;
  }

  timeoutMs(): number | undefined {
    const deadlineAt = this.deadlineAt;
    return deadlineAt === Number.POSITIVE_INFINITY
      ? undefined
      : Math.max(0, deadlineAt - this.#clock.wallNow());
  }

  /** In wall-clock ms, or Infinity. */
  get deadlineAt(): number {
    return Number(this.#call.getDeadline());
  }

  /** Nothing more can be sent. */
  get isOver(): boolean {
    return this.#call.cancelled;
  }

  /** Why the call is over, seen from the handler; to be asked once it is. */
  get endReason(): ConnectError {
    return this.#clock.wallNow() >= this.deadlineAt - TIMER_SLACK_MS
      ? new ConnectError("the deadline has passed", Code.DeadlineExceeded)
      : new ConnectError("the call was cancelled or has ended", Code.Canceled);
  }

  /** The call is over, whether somebody watches the signal or not. */
  abort(): void {
    this.#isAborted = true;
    this.#controller?.abort(this.endReason);
  }

  /** The peer's headers as they came, without building all of `requestHeader`. */
  get metadata(): Metadata {
    return this.#call.metadata;
  }

  /** IP address from which the call comes; empty if that is not known any more. */
  get address(): string {
    return withoutPort(this.#call.getPeer());
  }

  /**
   * Sends what the handler has set as response headers, if it has; only the first time counts.
   * @throws if a header's value cannot be sent
   */
  sendHeader(): void {
    if (!this.#responseHeader || this.#isHeaderSent) return;
    this.#isHeaderSent = true;
    this.#call.sendMetadata(toMetadata(this.#responseHeader));
  }

  /** The trailers that the handler has set, if it has. */
  get trailer(): Headers | undefined {
    return this.#responseTrailer;
  }
}

/** Where the caller of an HTTP/1.1 call is, which Connect does not tell. */
export const addressKey = createContextKey("", { description: "IP address of the peer" });

/** IP address from which a call comes; empty if that is not known any more. */
export function addressOf(context: HandlerContext): string {
  return context instanceof GrpcHandlerContext ? context.address : context.values.get(addressKey);
}

/** grpc-js writes `127.0.0.1:5000`, and `::1:5000` without brackets. */
function withoutPort(peer: string): string {
  return withoutMapping(peer.slice(0, Math.max(0, peer.lastIndexOf(":"))));
}

/** A header of the request, several values joined by commas; without building all of them. */
export function headerOf(context: HandlerContext, name: string): string | undefined {
  if (!(context instanceof GrpcHandlerContext)) return context.requestHeader.get(name) ?? undefined;
  const values = context.metadata.get(name);
  if (values.length > 1) return values.join(", ");
  return values[0]?.toString();
}
