import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

const unheld = new AsyncLocalStorage<true>();
const released = new WeakSet<Socket>();
let isWatching = false;

/**
 * Runs `fn` so that the TCP connections which it opens, now or later, do not
 * keep the process alive. grpc-js holds the process for every call that runs,
 * and has no option against it; a heartbeat stream runs for ever.
 */
export function withoutHoldingProcess<T>(fn: () => T): T {
  if (!isWatching)
    subscribe("net.client.socket", (message) => {
      if (unheld.getStore()) release((message as { socket: Socket }).socket);
    });
  isWatching = true;
  return unheld.run(true, fn);
}

/** TLS on a connection that does not keep the process alive must not do so either. */
export function releaseWith(connection: Socket, above: Socket): void {
  if (released.has(connection)) release(above);
}

function release(socket: Socket): void {
  released.add(socket);
  socket.unref();
  socket.ref = () => socket; // HTTP/2 would hold it again with its next call
}
