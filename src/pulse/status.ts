import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";
import { DomainError, type Refusal } from "../core/errors.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { StoreUnavailableError } from "../store/store.js";

const DOMAIN = "pulse";
/** How long clients wait before they look for a Pulse that said it stops. */
export const DRAIN_RETRY_AFTER_MS = 1_000;

/**
 * The status of any error, for the wire. A refusal gets its code and details; an
 * error that passed as a status already stays; anything else is a bug: it is
 * logged with an id, and the caller gets INTERNAL with that id and no text of it.
 */
export function toStatus(error: unknown, log: Log, random: Random): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof DomainError) {
    const { code, reason, retryAfterMs } = statusOf(error.refusal);
    return new ConnectError(error.message, code, undefined, [
      { desc: ErrorInfoSchema, value: { domain: DOMAIN, reason, metadata: {} } },
      ...("violations" in error.refusal
        ? [{ desc: BadRequestSchema, value: { fieldViolations: [...error.refusal.violations] } }]
        : []),
      ...(retryAfterMs === undefined
        ? []
        : [{ desc: RetryInfoSchema, value: { retryDelay: durationOf(retryAfterMs) } }]),
    ]);
  }
  const errorId = random.uuid();
  log.error({ err: error, errorId }, "rpc.internal_error");
  return new ConnectError(`internal error ${errorId}: the log of Pulse says more`, Code.Internal);
}

interface Status {
  readonly code: Code;
  readonly reason: string;
  readonly retryAfterMs?: number;
}

function statusOf(refusal: Refusal): Status {
  switch (refusal.kind) {
    case "invalid":
      return { code: Code.InvalidArgument, reason: "FIELD_INVALID" };
    case "unauthenticated":
      return { code: Code.Unauthenticated, reason: refusal.reason };
    case "denied":
      return { code: Code.PermissionDenied, reason: refusal.reason };
    case "not-found":
      return { code: Code.NotFound, reason: "NOT_FOUND" };
    case "precondition":
      return { code: Code.FailedPrecondition, reason: refusal.reason };
    case "conflict":
      return { code: Code.Aborted, reason: refusal.reason };
    case "exists":
      return { code: Code.AlreadyExists, reason: refusal.reason };
    case "lagging":
      return { code: Code.ResourceExhausted, reason: "WATCHER_LAGGING" };
    case "draining":
      return { code: Code.Unavailable, reason: "DRAINING", retryAfterMs: refusal.retryAfterMs };
    case "store-unavailable":
      return {
        code: Code.Unavailable,
        reason: "STORE_UNAVAILABLE",
        retryAfterMs: refusal.retryAfterMs,
      };
    case "quota":
      return {
        code: Code.ResourceExhausted,
        reason: refusal.reason,
        retryAfterMs: refusal.retryAfterMs,
      };
  }
}

/** The same Pulse stops for every caller: all are told to come back a little later. */
export function drainingError(retryAfterMs: number): DomainError {
  return new DomainError("Pulse is stopping; connect again", { kind: "draining", retryAfterMs });
}

/** How long a caller should wait before it tries a store again that is down. */
const STORE_RETRY_AFTER_MS = 2_000;

/**
 * @param cause what the store said
 * @param consequence what that means for the caller; left out, whether a commit was made
 */
export function storeUnavailable(
  cause?: unknown,
  consequence: string = consequenceOf(cause),
): DomainError {
  return new DomainError(
    `the registry's database cannot be used just now; ${consequence}`,
    { kind: "store-unavailable", retryAfterMs: STORE_RETRY_AFTER_MS },
    { cause },
  );
}

function consequenceOf(cause: unknown): string {
  return cause instanceof StoreUnavailableError && cause.isOutcomeUnknown
    ? "it is not known whether this was done: look, or try again"
    : "nothing was changed";
}

/** A google.protobuf.Duration of whole milliseconds. */
export function durationOf(ms: number): Duration {
  const whole = Math.round(ms);
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(whole / 1_000)),
    nanos: (whole % 1_000) * 1_000_000,
  });
}
