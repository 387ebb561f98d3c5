import { create, type DescMessage, fromBinary, isMessage } from "@bufbuild/protobuf";
import type { HandlerContext, MethodImplSpec } from "@connectrpc/connect";
import type {
  MethodDefinition,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedHandleCall,
} from "@grpc/grpc-js";
import type { Clock } from "../lib/clock.js";
import { isEndOfCall, statusOfFailure } from "./grpc-status.js";
import { GrpcHandlerContext, type ServerCall } from "./handler-context.js";
import { toBuffer } from "./message-bytes.js";
import { toMetadata } from "./metadata.js";
import { pathOf } from "./mount.js";
import { checkDecoded, RequestStream } from "./request-stream.js";
import { ResponseStream } from "./response-stream.js";
import { unreadable } from "./undecodable.js";

export interface HandlerTools {
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly onInternalError: (error: unknown) => void;
}

type SingleReply = (input: unknown, context: HandlerContext) => unknown;
type StreamReply = (input: unknown, context: HandlerContext) => AsyncIterable<unknown>;

/** How grpc-js finds, decodes and encodes the messages of a method. */
export function methodDefinition(
  { method }: MethodImplSpec,
  tools: HandlerTools,
): MethodDefinition<unknown, unknown> {
  const { methodKind, input, output } = method;
  return {
    path: pathOf(method),
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: (message) => encode(input, message),
    requestDeserialize: (bytes) => decodeRequest(input, bytes),
    responseSerialize: (message) => encodeResponse(output, message, tools),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

/**
 * A Connect handler as one of grpc-js. It is called directly, without the chain of
 * generators that Connect puts around it, which costs more than the call itself.
 */
export function grpcHandler(spec: MethodImplSpec, tools: HandlerTools): UntypedHandleCall {
  const { clock, onInternalError } = tools;
  const contextOf = (call: ServerCall) => new GrpcHandlerContext(spec.method, call, clock);
  switch (spec.kind) {
    case "unary": {
      const handler = spec.impl as SingleReply;
      return (call: ServerUnaryCall<unknown, unknown>, respond: sendUnaryData<unknown>) =>
        answerOnce(
          (request, context) => handler(checkDecoded(request), context),
          call.request,
          contextOf(call),
          respond,
          onInternalError,
        );
    }
    case "client_streaming": {
      const handler = spec.impl as SingleReply;
      return (call: ServerReadableStream<unknown, unknown>, respond: sendUnaryData<unknown>) => {
        const requests = new RequestStream(call);
        const context = contextOf(call);
        call.once("cancelled", () => requests.fail(context.endReason));
        answerOnce(handler, requests, context, respond, onInternalError);
      };
    }
    case "server_streaming": {
      const handler = spec.impl as StreamReply;
      return (call: ServerWritableStream<unknown, unknown>) => {
        const context = contextOf(call);
        const streaming = { responder: call, context, requests: undefined, clock, onInternalError };
        void new ResponseStream(streaming).send(() => handler(checkDecoded(call.request), context));
      };
    }
    case "bidi_streaming": {
      const handler = spec.impl as StreamReply;
      return (call: ServerDuplexStream<unknown, unknown>) => {
        const requests = new RequestStream(call);
        const context = contextOf(call);
        const streaming = { responder: call, context, requests, clock, onInternalError };
        void new ResponseStream(streaming).send(() => handler(requests, context));
      };
    }
  }
}

/** Calls a handler that replies once, and sends its reply or its error. Never throws. */
function answerOnce(
  handler: SingleReply,
  input: unknown,
  context: GrpcHandlerContext,
  respond: sendUnaryData<unknown>,
  onInternalError: (error: unknown) => void,
): void {
  const fail = (error: unknown) => {
    if (!context.isOver) respond(statusOfFailure(error, context, onInternalError));
    else if (!isEndOfCall(error)) onInternalError(error);
  };
  const succeed = (reply: unknown) => {
    try {
      context.sendHeader();
      respond(null, reply, context.trailer && toMetadata(context.trailer));
    } catch (error) {
      fail(error);
    }
  };
  try {
    const reply = handler(input, context);
    if (reply instanceof Promise) reply.then(succeed, fail);
    else succeed(reply);
  } catch (error) {
    fail(error);
  }
}

/** Bytes that are no message stay an error until a handler would see them: grpc-js would answer INTERNAL. */
function decodeRequest(schema: DescMessage, bytes: Buffer): unknown {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    return unreadable(schema, error);
  }
}

/** Encodes what a handler replied. grpc-js tells nobody why a message cannot be sent, so it is told here. */
function encodeResponse(schema: DescMessage, message: unknown, tools: HandlerTools): Buffer {
  try {
    const bytes = encode(schema, message);
    if (bytes.length > tools.maxMessageBytes)
      tools.onInternalError(
        new Error(`a response of ${bytes.length} bytes is over the limit of ${schema.typeName}`),
      );
    return bytes;
  } catch (error) {
    tools.onInternalError(error);
    throw error;
  }
}

/** The bytes of a message, or of the plain object for one that a handler may return. */
function encode(schema: DescMessage, message: unknown): Buffer {
  return toBuffer(schema, isMessage(message, schema) ? message : create(schema, message as never));
}
