import type { Http2Server, Http2Session } from "node:http2";
import type { Socket } from "node:net";

const SOCKET = Symbol("socket");

/** A session that knows its socket: the one that Node shows cannot be destroyed, nor read after the session's end. */
interface SocketedSession extends Http2Session {
  [SOCKET]: Socket;
}

/** From now on `socketOf` knows the socket below each session of `http2`, also in later listeners of "session". */
export function rememberSockets(http2: Http2Server): void {
  // Both in one turn: Node makes the session while it is told of the connection.
  let accepted: Socket | undefined;
  http2.prependListener("connection", (socket: Socket) => {
    accepted = socket;
  });
  http2.prependListener("session", (session) => {
    Object.assign(session, { [SOCKET]: accepted });
    accepted = undefined;
  });
}

/** The socket below a session of a server whose sockets are remembered. */
export function socketOf(session: Http2Session): Socket {
  return (session as SocketedSession)[SOCKET];
}
