import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Clock } from "../lib/clock.js";

const HTTP2_PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
/** Node's 511 overflows when a whole fleet reconnects: the rest then waits for seconds. */
const BACKLOG = 4_096;
/**
 * TCP keepalive finds vanished peers of connections on which nothing waits to be
 * acknowledged, 10 s later. HTTP/2 has PINGs of its own: this is for HTTP/1.1, and for
 * connections that are closing.
 */
const TCP_KEEPALIVE_MS = 60_000;

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly maxConnections: number;
  readonly sniffTimeoutMs: number;
  /** Gets a connection with its first bytes, the HTTP/2 preface, still unread. */
  readonly onHttp2: (socket: Socket) => void;
  /** Gets any other connection, with its first bytes still unread. */
  readonly onHttp1: (socket: Socket) => void;
  /** Connections cannot be accepted, for want of file descriptors say; it listens on. */
  readonly onError: (error: Error) => void;
}

export interface Listener {
  /** The real one if 0 was asked for. */
  readonly port: number;
  /** Accepts no more, and closes connections that have not said what they speak. */
  close(): void;
  /** Closes all connections now. */
  destroy(): void;
  /** Resolves when it has been closed, and the last connection with it. */
  readonly closed: Promise<void>;
}

/**
 * One port for HTTP/2 and HTTP/1.1, told apart by the first bytes.
 * @throws the system's error if the address cannot be bound
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const sockets = new Set<Socket>();
  const sniffing = new Set<Socket>();
  const server = createServer(
    // Half-open, since an HTTP/1.1 client may end its side before it has its answer.
    {
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_MS,
    },
    (socket) => {
      sockets.add(socket);
      sniffing.add(socket);
      socket.once("close", () => {
        sockets.delete(socket);
        sniffing.delete(socket);
      });
      sniff(socket, options.clock, options.sniffTimeoutMs, (isHttp2) => {
        sniffing.delete(socket);
        if (!isHttp2) return options.onHttp1(socket);
        socket.allowHalfOpen = false; // a peer that ends its side of HTTP/2 is gone
        options.onHttp2(socket);
      });
    },
  );
  server.maxConnections = options.maxConnections;
  const closed = new Promise<void>((resolve) => {
    server.once("close", resolve);
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port, backlog: BACKLOG }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", options.onError);

  return {
    port: (server.address() as AddressInfo).port,
    closed,
    close() {
      server.close();
      for (const socket of sniffing) socket.destroy();
    },
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Reads just enough to tell the protocol, and puts it back. A peer that does not show it in time is closed. */
function sniff(
  socket: Socket,
  clock: Clock,
  timeoutMs: number,
  onKnown: (isHttp2: boolean) => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  const drop = () => socket.destroy();
  const timer = clock.setTimer(timeoutMs, drop);
  socket.on("error", drop); // stays, so that no error finds the socket without a listener
  socket.once("end", drop);
  socket.once("close", () => timer.cancel());
  socket.on("readable", onReadable);

  function onReadable() {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, HTTP2_PREFACE.length);
    const isHttp2 = seen.subarray(0, length).equals(HTTP2_PREFACE.subarray(0, length));
    if (isHttp2 && length < HTTP2_PREFACE.length) return;
    timer.cancel();
    socket.off("readable", onReadable);
    socket.off("end", drop);
    socket.unshift(seen);
    onKnown(isHttp2);
  }
}
