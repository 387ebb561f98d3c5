import { type AddressInfo, createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Clock } from "../lib/clock.js";
import { countConnections } from "./address-connections.js";
import { createTlsLayer, type TlsLayer, type TlsLayerOptions } from "./tls.js";
import { transportOf } from "./transport-socket.js";

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
  readonly maxConnectionsPerAddress: number;
  readonly sniffTimeoutMs: number;
  /** Left out, plain text. */
  readonly tls?: Pick<TlsLayerOptions, "credentials" | "handshakeTimeoutMs" | "onFailure">;
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
  /** Undefined: plain text. */
  readonly tls: TlsLayer | undefined;
  /** Accepts no more, and closes connections that have not said what they speak. */
  close(): void;
  /** Closes all connections now. */
  destroy(): void;
  /** Resolves when it has been closed, and the last connection with it. */
  readonly closed: Promise<void>;
}

/**
 * One port for HTTP/2 and HTTP/1.1, told apart by the first bytes, in plain text or in TLS.
 * @throws the system's error if the address cannot be bound, or OpenSSL's if the
 * credentials cannot be used
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const sockets = new Set<Socket>();
  const sniffing = new Set<Socket>();
  const { clock } = options;
  const tls = options.tls && createTlsLayer({ ...options.tls, clock, onSecure: tellApart });
  const perAddress = countConnections(options.maxConnectionsPerAddress);
  const server = createServer(
    // Half-open, since an HTTP/1.1 client may end its side before it has its answer.
    {
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_MS,
    },
    (socket) => {
      if (!perAddress.admit(socket)) return;
      sockets.add(socket);
      sniffing.add(socket);
      socket.once("close", () => {
        sockets.delete(socket);
        sniffing.delete(socket);
      });
      if (tls) tls.accept(socket);
      else tellApart(socket);
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

  /** Gives a connection, TLS or plain, to those who speak its protocol. */
  function tellApart(socket: Socket): void {
    sniff(socket, clock, options.sniffTimeoutMs, (isHttp2) => {
      sniffing.delete(transportOf(socket));
      if (isHttp2 !== (agreedHttp2(socket) ?? isHttp2)) return void socket.destroy();
      if (!isHttp2) return options.onHttp1(socket);
      socket.allowHalfOpen = false; // a peer that ends its side of HTTP/2 is gone
      // Node's HTTP/2 asks the handshake again, and would refuse a client that offered nothing.
      if (socket instanceof TLSSocket) socket.alpnProtocol = "h2";
      options.onHttp2(socket);
    });
  }

  return {
    port: (server.address() as AddressInfo).port,
    tls,
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

/** Whether a TLS handshake was to HTTP/2; undefined if it has not said. */
function agreedHttp2(socket: Socket): boolean | undefined {
  if (!(socket instanceof TLSSocket) || !socket.alpnProtocol) return undefined;
  return socket.alpnProtocol === "h2";
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
