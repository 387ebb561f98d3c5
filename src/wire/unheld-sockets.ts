import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

const unheld = new AsyncLocalStorage<true>();
let isWatching = false;

/**
 * Runs `fn` so that the TCP connections which it opens, now or later, do not
 * keep the process alive. grpc-js holds the process for every call that runs,
 * and has no option against it; a heartbeat stream runs for ever.
 */
export function withoutHoldingProcess<T>(fn: () => T): T {
  if (!isWatching) subscribe("net.client.socket", (message) => release(message));
  isWatching = true;
  return unheld.run(true, fn);
}

function release(message: unknown): void {
  if (!unheld.getStore()) return;
  const { socket } = message as { socket: Socket };
  socket.unref();
  socket.ref = () => socket; // HTTP/2 would hold it again with its next call
}
