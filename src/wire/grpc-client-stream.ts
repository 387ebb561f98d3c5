import type { ConnectError } from "@connectrpc/connect";
import type { ClientDuplexStream, Metadata, StatusObject } from "@grpc/grpc-js";
import { toHeaders } from "./metadata.js";

export interface OpenedStream<Out> {
  readonly header: Headers;
  /** Filled when the stream has ended. */
  readonly trailer: Headers;
  readonly message: AsyncIterable<Out>;
}

/**
 * Runs a streaming call: sends what `requests` yields, as fast as the other end
 * takes it, and hands out what comes. Resolves with the response's headers, at
 * the latest with its first message. An abort of the signal cancels it.
 * @throws ConnectError made by `toError`, here or from the iteration
 */
export async function openClientStream<In, Out>(
  call: ClientDuplexStream<In, Out>,
  requests: AsyncIterable<In>,
  signal: AbortSignal,
  toError: (status: Partial<StatusObject>) => ConnectError,
): Promise<OpenedStream<Out>> {
  let ended: StatusObject | undefined;
  const trailer = new Headers();
  const onAbort = () => call.cancel();
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });

  call.on("error", () => {}); // the status says it too
  const status = new Promise<StatusObject>((resolve) => {
    call.on("status", (received: StatusObject) => {
      ended = received;
      signal.removeEventListener("abort", onAbort);
      toHeaders(received.metadata).forEach((value, key) => {
        trailer.set(key, value);
      });
      resolve(received);
    });
  });
  const header = new Promise<Headers>((resolve) => {
    call.on("metadata", (received: Metadata) => resolve(toHeaders(received)));
  });

  void sendAll();

  async function sendAll(): Promise<void> {
    const iterator = requests[Symbol.asyncIterator]();
    try {
      while (!ended) {
        const next = await iterator.next();
        if (ended) break;
        if (next.done) {
          call.end();
          return;
        }
        if (!call.write(next.value)) await untilDrained();
      }
      await iterator.return?.();
    } catch {
      call.cancel(); // what this end wanted to say cannot be said to its end
    }
  }

  /** A write to a call that has ended never drains. */
  function untilDrained(): Promise<unknown> {
    return Promise.race([new Promise<void>((resolve) => call.once("drain", resolve)), status]);
  }

  async function* messages(): AsyncGenerator<Out> {
    try {
      // The default iterator would destroy the whole duplex when the consumer leaves.
      for await (const message of call.iterator({ destroyOnReturn: false })) yield message as Out;
    } catch (error) {
      throw toError(ended ?? (error as Partial<StatusObject>));
    } finally {
      if (!ended) call.cancel();
    }
    const { code } = await status;
    if (code !== 0) throw toError(await status);
  }

  const first = await Promise.race([header, status]);
  if (first instanceof Headers) return { header: first, trailer, message: messages() };
  if (first.code === (0 as number)) return { header: new Headers(), trailer, message: messages() };
  throw toError(first);
}
