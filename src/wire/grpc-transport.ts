import {
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamResponse,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import type { CallOptions, Client, Metadata, ServiceError, StatusObject } from "@grpc/grpc-js";
import { systemClock } from "../lib/clock.js";
import { connectionFailure, NO_CONNECTION } from "./connection-failure.js";
import { openConnection } from "./endpoint-connection.js";
import { Endpoints, isFaultOfEndpoint } from "./endpoints.js";
import type { ChannelUse } from "./grpc-channel.js";
import { openClientStream } from "./grpc-client-stream.js";
import { formatTimeout, parseTimeout } from "./grpc-timeout.js";
import { toBuffer } from "./message-bytes.js";
import { toHeaders, toMetadata } from "./metadata.js";
import { pathOf } from "./mount.js";
import { withoutHoldingProcess } from "./unheld-sockets.js";

/** Turns what grpc-js says into a sentence. */
type Explain = (details: string) => string;

/** What makes a Headers; the name HeadersInit is known only where there is a DOM. */
type HeadersLike = ConstructorParameters<typeof Headers>[0];

export interface GrpcTransportOptions {
  /** `http://host:port` or `https://host:port`; or where to find several, and which one to take. */
  readonly address: string | Endpoints;
  /** The first is the outermost. */
  readonly interceptors?: Interceptor[];
  /** `calls` unless told otherwise. */
  readonly use?: ChannelUse;
}

/**
 * A Transport that holds a connection. Used for `calls`, it goes to another endpoint
 * after a call that the present one has failed; below a `background` stream its owner
 * says when.
 */
export interface GrpcTransport extends Transport {
  /** The same connection, for calls with interceptors of their own instead of the transport's. */
  with(interceptors: Interceptor[]): Transport;
  /**
   * Connects without a call, if it is not connected, and goes on trying. If the newest
   * call has failed for want of a connection, and there is one by now, the listeners
   * are told at once.
   */
  connect(): void;
  /** Calls `listener` whenever the connection has come up from now on. */
  onReady(listener: () => void): void;
  /** Cancels what runs and closes the connection. */
  close(): void;
}

/**
 * Connect's client API on a grpc-js channel. Connect brings interceptors and
 * async iterables; grpc-js brings connection management that does not end the
 * process (connect-es#1768, #1795) and tells a dead server from a cancelled call.
 *
 * Leaving the iteration of a stream does not cancel it: abort its signal.
 */
export function createGrpcTransport(options: GrpcTransportOptions): GrpcTransport {
  const { address, use = "calls" } = options;
  const endpoints = typeof address === "string" ? new Endpoints([address]) : address;
  const connection = openConnection(endpoints, use);
  // Whatever a call sets off, such as connecting again, belongs to it.
  const start = use === "calls" ? <T>(fn: () => T) => fn() : withoutHoldingProcess;
  const explain: Explain = (details) => connectionFailure(details, endpoints.scheme);

  /** Makes a call, and learns from how it goes. */
  async function over<T>(signal: AbortSignal, call: (client: Client) => Promise<T>): Promise<T> {
    let client: Client | undefined;
    try {
      client = await start(() => connection.client(signal));
      const made = client;
      const answer = await start(() => call(made));
      if (use === "calls") endpoints.settle();
      return answer;
    } catch (error) {
      if (isWantOfConnection(error)) connection.foundNone();
      if (client && use === "calls" && isFaultOfEndpoint(error)) connection.leave(client);
      throw error;
    }
  }

  const transportWith = (interceptors: Interceptor[]): Transport => ({
    unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeadersLike | undefined,
      message: MessageInitShape<I>,
      contextValues?: ContextValues,
    ): Promise<UnaryResponse<I, O>> {
      return runUnaryCall<I, O>({
        interceptors,
        ...limits(signal, timeoutMs),
        req: {
          stream: false,
          ...requestOf(method, header, timeoutMs, contextValues),
          method,
          message,
        },
        next: (request) =>
          over(request.signal, (client) => callUnary(client, method, request, explain)),
      });
    },

    stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodStreaming<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: HeadersLike | undefined,
      messages: AsyncIterable<MessageInitShape<I>>,
      contextValues?: ContextValues,
    ): Promise<StreamResponse<I, O>> {
      return runStreamingCall<I, O>({
        interceptors,
        ...limits(signal, timeoutMs),
        req: {
          stream: true,
          ...requestOf(method, header, timeoutMs, contextValues),
          method,
          message: messages,
        },
        next: async (request) => {
          const opened = await over(request.signal, (client) => {
            const { metadata, callOptions } = startOf(request.header);
            return openClientStream<MessageShape<I>, MessageShape<O>>(
              client.makeBidiStreamRequest(
                pathOf(method),
                serializerOf(method.input),
                deserializerOf(method.output),
                metadata,
                callOptions,
              ),
              request.message,
              request.signal,
              (status) => toError(status, request.signal, explain),
            );
          });
          return { stream: true, service: method.parent, method, ...opened };
        },
      });
    },
  });

  return {
    ...transportWith(options.interceptors ?? []),
    with: transportWith,
    close: () => connection.close(),
    connect: () => start(() => connection.connect()),
    onReady: (listener) => connection.onReady(listener),
  };
}

function callUnary<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  { header, message, signal }: UnaryRequest<I, O>,
  explain: Explain,
): Promise<UnaryResponse<I, O>> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(ConnectError.from(signal.reason, Code.Canceled));
    const { metadata, callOptions } = startOf(header);
    let responseHeader = new Headers();
    let answer: MessageShape<O> | undefined;
    let failure: ServiceError | undefined;
    const call = client.makeUnaryRequest(
      pathOf(method),
      serializerOf(method.input),
      deserializerOf(method.output),
      message,
      metadata,
      callOptions,
      (error, value) => {
        failure = error ?? undefined;
        answer = value;
      },
    );
    const onAbort = () => call.cancel();
    signal.addEventListener("abort", onAbort, { once: true });
    call.on("metadata", (received: Metadata) => {
      responseHeader = toHeaders(received);
    });
    // The status comes after the callback, and with it the trailers.
    call.on("status", (status: StatusObject) => {
      signal.removeEventListener("abort", onAbort);
      if (failure || answer === undefined)
        return reject(toError(failure ?? status, signal, explain));
      const trailer = toHeaders(status.metadata);
      resolve({
        stream: false,
        service: method.parent,
        method,
        header: responseHeader,
        trailer,
        message: answer,
      });
    });
  });
}

function limits(signal: AbortSignal | undefined, timeoutMs: number | undefined) {
  return { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

function requestOf(
  method: DescMethodUnary | DescMethodStreaming,
  init: HeadersLike | undefined,
  timeoutMs: number | undefined,
  contextValues: ContextValues | undefined,
) {
  const header = new Headers(init);
  // As on the wire, so that interceptors see it and may shorten it.
  if (timeoutMs !== undefined) header.set("grpc-timeout", formatTimeout(timeoutMs));
  return {
    service: method.parent,
    requestMethod: "POST",
    url: pathOf(method),
    header,
    contextValues: contextValues ?? createContextValues(),
  };
}

function startOf(header: Headers): { metadata: Metadata; callOptions: CallOptions } {
  const timeoutMs = parseTimeout(header.get("grpc-timeout"));
  const callOptions = timeoutMs === undefined ? {} : { deadline: new Date(deadlineOf(timeoutMs)) };
  return { metadata: toMetadata(header), callOptions };
}

/** grpc-js takes a deadline as a wall-clock time only. */
function deadlineOf(timeoutMs: number): number {
  return systemClock.wallNow() + timeoutMs;
}

function serializerOf(schema: DescMessage) {
  return (message: MessageShape<DescMessage>): Buffer => toBuffer(schema, message);
}

function deserializerOf<Desc extends DescMessage>(schema: Desc) {
  return (bytes: Buffer): MessageShape<Desc> => fromBinary(schema, bytes);
}

/** Whether a call has failed like that which never left. */
function isWantOfConnection(error: unknown): boolean {
  return error instanceof ConnectError && error.rawMessage.startsWith(NO_CONNECTION);
}

/** The error of a call, with its details; one that was aborted has the reason of that. */
function toError(
  status: Partial<StatusObject>,
  signal: AbortSignal,
  explain: Explain,
): ConnectError {
  if (signal.aborted) return ConnectError.from(signal.reason, Code.Canceled);
  const code = status.code ?? Code.Unknown;
  const details = explain(status.details ?? "");
  const trailer = status.metadata ? toHeaders(status.metadata) : new Headers();
  trailer.set("grpc-status", String(code));
  trailer.set("grpc-message", encodeURIComponent(details));
  const fallback = new ConnectError(details || "the call ended without an answer", Code.Unknown);
  try {
    return findTrailerError(trailer) ?? fallback;
  } catch {
    return fallback; // details that cannot be decoded
  }
}
