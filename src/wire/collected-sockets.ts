import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

const collection = new AsyncLocalStorage<Set<Socket>>();
let isWatching = false;

/**
 * Runs `fn`, and adds to `sockets` the TCP connections which it opens, now or
 * later. grpc-js has no way to give up a connection that is not there yet: one to
 * an address where nobody answers would keep the process alive for two minutes.
 */
export function collectingSockets<T>(sockets: Set<Socket>, fn: () => T): T {
  if (!isWatching) subscribe("net.client.socket", (message) => collect(message));
  isWatching = true;
  return collection.run(sockets, fn);
}

function collect(message: unknown): void {
  const sockets = collection.getStore();
  if (!sockets) return;
  const { socket } = message as { socket: Socket };
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
}
