import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";

/** A command cannot do what it was asked. The message is one sentence that says what to do. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** Several things are wrong at once: each has a line. */
export class ListedError extends CommandError {
  constructor(readonly lines: readonly string[]) {
    super(lines.join("; "));
  }
}

/** What was typed does not fit together, which only the command itself can see. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What an error has to say, in one line and without its stack. */
export function failureSentence(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const text = error instanceof Error ? error.message || code || error.name : String(error);
  return text.replace(/\s+/g, " ").trim();
}

/** What a failed call means for the person at the terminal; what is meant for him already stays. */
export function callFailure(error: unknown, url: string, tokenSource: string): Error {
  if (error instanceof CommandError || error instanceof UsageError) return error;
  return new CommandError(callSentence(ConnectError.from(error), url, tokenSource), {
    cause: error,
  });
}

/** Pulse was reached, and its certificate, or the one shown to it, was not good enough. */
const TLS_FAILED = "no connection: TLS failed: ";

function unreachableSentence(text: string, url: string): string {
  return text.startsWith(TLS_FAILED)
    ? `no trusted connection to Pulse at ${url}: ${withFlags(text.slice(TLS_FAILED.length))}`
    : `Pulse at ${url} does not answer (${text}); start it with "pulse serve", or give its address with --pulse`;
}

/** The library names its options in brackets: here these are flags. */
export function withFlags(text: string): string {
  return text
    .replace(/\((ca|fingerprint)\)/g, "(--$1)")
    .replaceAll("(cert and key)", "(--cert and --key)");
}

function callSentence(error: ConnectError, url: string, tokenSource: string): string {
  const fromPulse = error.findDetails(ErrorInfoSchema).some((info) => info.domain === "pulse");
  const text = failureSentence(new Error(error.rawMessage || Code[error.code]));
  switch (error.code) {
    case Code.Unauthenticated:
      return `Pulse at ${url} does not accept the token from ${tokenSource} (${text}); use one that "pulse token create" made for this Pulse`;
    case Code.PermissionDenied:
      return `Pulse at ${url} does not allow this with the token from ${tokenSource}: ${text}`;
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return fromPulse
        ? `Pulse at ${url} cannot do this now: ${text}; try again in a moment`
        : unreachableSentence(text, url);
    case Code.Unimplemented:
      return `what answers at ${url} is not a Pulse that knows this command (${text}); check --pulse`;
    case Code.InvalidArgument:
    case Code.NotFound:
    case Code.AlreadyExists:
    case Code.FailedPrecondition:
    case Code.Aborted:
      return text;
    default:
      return fromPulse ? text : `the call to Pulse at ${url} failed: ${text}`;
  }
}
