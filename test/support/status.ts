import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.js";

/** What a caller can read from an error, details included. */
export interface Status {
  readonly code: string;
  readonly reason: string | undefined;
  readonly fields: readonly string[];
  readonly retryAfterMs: number | undefined;
  readonly message: string;
}

export function statusOf(error: unknown): Status {
  if (!(error instanceof ConnectError)) throw error;
  const [retry] = error.findDetails(RetryInfoSchema);
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info && info.domain !== "pulse") throw new Error(`ErrorInfo of domain ${info.domain}`);
  return {
    code: Code[error.code],
    reason: info?.reason,
    fields: error
      .findDetails(BadRequestSchema)
      .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field)),
    retryAfterMs:
      retry?.retryDelay &&
      Number(retry.retryDelay.seconds) * 1_000 + retry.retryDelay.nanos / 1_000_000,
    message: error.rawMessage,
  };
}

/** The status that a call fails with; it is an error if it succeeds. */
export async function failure(call: Promise<unknown>): Promise<Status> {
  const reply = await call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("value" in reply) throw new Error("the call succeeded");
  return statusOf(reply.error);
}
