import { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { Metadata } from "@grpc/grpc-js";
import { toMetadata } from "./metadata.js";

/** A status as grpc-js sends it. */
export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** What a peer learns of an error that is no status. */
export function internalError(): ConnectError {
  return new ConnectError("internal error", Code.Internal);
}

/**
 * The status of whatever a handler has thrown, with the details and the trailers
 * that belong to it. What is no ConnectError, or cannot be sent, is reported.
 */
export function statusOfFailure(
  error: unknown,
  context: { readonly trailer: Headers | undefined },
  onInternalError: (error: unknown) => void,
): GrpcStatus {
  if (!(error instanceof ConnectError)) onInternalError(error);
  else
    try {
      return toGrpcStatus(error, context.trailer);
    } catch (unsendable) {
      onInternalError(unsendable);
    }
  return toGrpcStatus(internalError(), undefined);
}

/** What a handler throws because it was told that the call is over: no bug of its own. */
export function isEndOfCall(error: unknown): boolean {
  return error instanceof ConnectError || (error instanceof Error && error.name === "AbortError");
}

function toGrpcStatus(error: ConnectError, trailer: Headers | undefined): GrpcStatus {
  const sendable = wellFormed(error);
  const headers = setTrailerStatus(new Headers(trailer), sendable); // google.rpc.Status among them
  return { code: sendable.code, details: sendable.rawMessage, metadata: toMetadata(headers) };
}

/** The same error with a message that can be percent-encoded: lone surrogates cannot. */
function wellFormed(error: ConnectError): ConnectError {
  const message = error.rawMessage.replaceAll(/\p{Surrogate}/gu, "\ufffd");
  if (message === error.rawMessage) return error;
  const copy = new ConnectError(message, error.code, error.metadata);
  copy.details = error.details;
  return copy;
}
