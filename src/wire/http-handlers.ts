import type { DescService } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type HandlerContext,
  type MethodImplSpec,
  type ServiceImpl,
} from "@connectrpc/connect";
import { internalError, isEndOfCall } from "./grpc-status.js";
import { type Mount, type OnInternalError, pathOf } from "./mount.js";
import { refuseUndecodable } from "./undecodable.js";

type Handler = (input: unknown, context: HandlerContext) => unknown;

/**
 * A mount's implementation for Connect's own server, with the promises that our
 * gRPC server gives: a call is answered at its deadline whatever the handler does,
 * a handler's iterator is returned as soon as the call is over, and errors that are
 * no status are reported.
 */
export function httpImplementation(
  { methods }: Mount,
  onInternalError: OnInternalError,
): ServiceImpl<DescService> {
  const handlers = Object.entries(methods).map(([name, spec]) => {
    const report = (error: unknown) => onInternalError(pathOf(spec.method), error);
    return [name, httpHandler(spec, report)];
  });
  return Object.fromEntries(handlers);
}

function httpHandler({ kind, impl }: MethodImplSpec, report: (error: unknown) => void): Handler {
  const handler = impl as Handler;
  if (kind === "unary" || kind === "client_streaming")
    return (input, context) => {
      refuseUndecodable(context);
      return untilEnd(async () => handler(input, context), context.signal, report);
    };
  return (input, context) => ({
    [Symbol.asyncIterator]() {
      refuseUndecodable(context);
      const respond = () => handler(input, context) as AsyncIterable<unknown>;
      return iterateUntilEnd(respond, context, report);
    },
  });
}

/** The handler's responses; when the call is over, its iterator is returned, whatever it waits for. */
function iterateUntilEnd(
  respond: () => AsyncIterable<unknown>,
  { signal }: HandlerContext,
  report: (error: unknown) => void,
): AsyncIterator<unknown> {
  let iterator: AsyncIterator<unknown> | undefined;
  const end = async () => {
    try {
      await iterator?.return?.();
    } catch (error) {
      if (!isEndOfCall(error)) report(error);
    }
  };
  signal.addEventListener("abort", end, { once: true });
  return {
    next: () =>
      untilEnd(
        async () => {
          iterator ??= respond()[Symbol.asyncIterator]();
          return iterator.next();
        },
        signal,
        report,
      ),
    async return() {
      signal.removeEventListener("abort", end);
      await end();
      return { done: true, value: undefined };
    },
  };
}

/** What `work` gives, or the end of the call if that comes first. Rejects with ConnectErrors only. */
function untilEnd<T>(
  work: () => Promise<T>,
  signal: AbortSignal,
  report: (error: unknown) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onEnd = () => reject(ConnectError.from(signal.reason, Code.Canceled));
    if (signal.aborted) return onEnd();
    signal.addEventListener("abort", onEnd, { once: true });
    work()
      .finally(() => signal.removeEventListener("abort", onEnd))
      .then(resolve, (error: unknown) => {
        if (error instanceof ConnectError) return reject(error);
        if (!(signal.aborted && isEndOfCall(error))) report(error);
        reject(internalError());
      });
  });
}
