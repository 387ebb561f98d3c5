import type { Http2Server, Http2Session } from "node:http2";
import type { Socket } from "node:net";
import { transportOf } from "./transport-socket.js";

const SOCKET = Symbol("socket");

/** A session that knows its socket: the one that Node shows cannot be destroyed, nor read after the session's end. */
interface SocketedSession extends Http2Session {
  [SOCKET]: Socket;
}

/** From now on `socketOf` knows the TCP socket below each session of `http2`, also in later listeners of "session". */
export function rememberSockets(http2: Http2Server): void {
  // Both in one turn: Node makes the session while it is told of the connection.
  let accepted: Socket | undefined;
  http2.prependListener("connection", (socket: Socket) => {
    accepted = transportOf(socket);
  });
  http2.prependListener("session", (session) => {
    Object.assign(session, { [SOCKET]: accepted });
    accepted = undefined;
  });
}

/** The TCP socket below a session, and below its TLS, of a server whose sockets are remembered. */
export function socketOf(session: Http2Session): Socket {
  return (session as SocketedSession)[SOCKET];
}
