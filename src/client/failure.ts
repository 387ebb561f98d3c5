import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";

/**
 * What a failed call means for the caller (docs/protocol.md, errors).
 *
 * - `transient`: Pulse is away, stopping, busy or not well; try again, no
 *   sooner than `floorMs` from now. That holds for this node alone if it is
 *   stopping (`floorOf`), else for every node of this Pulse.
 * - `refused`: Pulse (or what answers in its place) does not want this caller;
 *   only a person can mend that, so try again slowly. `reason` tells one
 *   refusal from another.
 * - `invalid`: the request itself is wrong and would be wrong again.
 */
export type Failure =
  | {
      readonly kind: "transient";
      readonly error: Error;
      readonly floorMs: number;
      readonly floorOf: "node" | "pulse";
    }
  | { readonly kind: "refused"; readonly error: Error; readonly reason: string }
  | { readonly kind: "invalid"; readonly error: Error };

export type TransientFailure = Extract<Failure, { kind: "transient" }>;
export type RefusedFailure = Extract<Failure, { kind: "refused" }>;

/**
 * What a failed stream means. `disowned`: Pulse takes the token no more that it gave
 * this instance of its own; a Register with the other one may give another.
 */
export type StreamFailure = Failure | DisownedFailure;
export interface DisownedFailure {
  readonly kind: "disowned";
  readonly error: Error;
}

export function streamFailureOf(reason: unknown, withOwnToken: boolean): StreamFailure {
  const error = ConnectError.from(reason);
  return withOwnToken && error.code === Code.Unauthenticated
    ? { kind: "disowned", error }
    : failureOf(error);
}

/** The longest wait that a server can ask for; a nonsensical one must not silence a client for ever. */
export const MAX_FLOOR_MS = 300_000;

export function failureOf(reason: unknown): Failure {
  const error = ConnectError.from(reason);
  switch (error.code) {
    case Code.InvalidArgument:
    case Code.OutOfRange:
      return { kind: "invalid", error: new InvalidRequestError(error) };
    // UNIMPLEMENTED and NOT_FOUND: an older Pulse, or a proxy in its place.
    case Code.Unauthenticated:
    case Code.PermissionDenied:
    case Code.Unimplemented:
    case Code.NotFound:
    case Code.FailedPrecondition:
    case Code.AlreadyExists:
      return { kind: "refused", error, reason: `${Code[error.code]}: ${error.rawMessage}` };
    // INTERNAL, UNKNOWN, CANCELED and DATA_LOSS too: a cut connection shows as
    // any of them, and a registration has to outlive a fault of the server.
    default:
      return {
        kind: "transient",
        error,
        floorMs: Math.max(0, serverFloorMs(error) ?? 0),
        floorOf: isDraining(error) ? "node" : "pulse",
      };
  }
}

/** A transient failure that this client noticed by itself. */
export function unavailable(message: string, floorMs = 0): TransientFailure {
  const error = new ConnectError(message, Code.Unavailable);
  return { kind: "transient", error, floorMs, floorOf: "pulse" };
}

/** The node says on a stream that it is stopping. */
export function draining(floorMs: number): TransientFailure {
  return { ...unavailable("Pulse is stopping", floorMs), floorOf: "node" };
}

/** An attempt's own deadline has passed. */
export function overdue(message: string): TransientFailure {
  const error = new ConnectError(message, Code.DeadlineExceeded);
  return { kind: "transient", error, floorMs: 0, floorOf: "pulse" };
}

/** Whether the node that says this is stopping: its RetryInfo is no other node's. */
export function isDraining(error: ConnectError): boolean {
  return error
    .findDetails(ErrorInfoSchema)
    .some(({ domain, reason }) => domain === "pulse" && reason === "DRAINING");
}

/**
 * How long the server asks to wait: `grpc-retry-pushback-ms` (gRFC A6), else
 * google.rpc.RetryInfo, at most MAX_FLOOR_MS. Undefined: it did not say.
 * Negative: it asks not to try again.
 */
export function serverFloorMs(error: ConnectError): number | undefined {
  const pushback = error.metadata.get("grpc-retry-pushback-ms");
  if (pushback !== null) return /^\d{1,9}$/.test(pushback) ? boundedFloor(Number(pushback)) : -1;
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && boundedFloor(durationMs(delay));
}

/** A wait that a server asked for, within reason: 0 to MAX_FLOOR_MS. */
export function boundedFloor(ms: number): number {
  return Math.min(Math.max(0, ms), MAX_FLOOR_MS);
}

/** Pulse refuses a request as invalid. The message names each field and what to do about it. */
export class InvalidRequestError extends Error {
  override readonly name = "InvalidRequestError";
  /** Paths in the request, as in `service.api_url`. */
  readonly fields: readonly string[];

  constructor(cause: ConnectError) {
    const violations = cause
      .findDetails(BadRequestSchema)
      .flatMap((detail) => detail.fieldViolations);
    const text = violations.map((v) => `${v.field}: ${v.description}`).join("; ");
    super(`Pulse refuses the request as invalid: ${text || cause.rawMessage}`, { cause });
    this.fields = violations.map((v) => v.field);
  }
}
