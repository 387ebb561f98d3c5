import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** Node's name for the socket below a TLS socket: nothing public leads to it. */
interface LayeredSocket extends TLSSocket {
  readonly _parent?: Socket | null;
}

/**
 * The TCP socket below `socket`, or itself. What tells whether a peer lives and takes
 * what it is sent is read there: TLS counts what it was given, and knows of what waits
 * only as long as it has not passed it on.
 */
export function transportOf(socket: Socket): Socket {
  if (!(socket instanceof TLSSocket)) return socket;
  const transport = (socket as LayeredSocket)._parent;
  if (!transport)
    throw new Error("this version of Node hides the socket below TLS: see transport-socket.ts");
  return transport;
}
