import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../lib/clock.js";
import { transportOf } from "./transport-socket.js";

/** What the server shows of itself, and whom it lets in; all PEM. */
export interface TlsCredentials {
  /** Its certificate, and those between it and its authority, if there are any. */
  readonly certificate: string;
  readonly key: string;
  /** Only clients with a certificate from one of these get in; left out, everybody does. */
  readonly clientAuthority?: string;
}

export interface TlsLayerOptions {
  readonly credentials: TlsCredentials;
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  /** Gets a connection whose handshake is done. */
  readonly onSecure: (socket: TLSSocket) => void;
  /** A handshake has failed; the connection is closed. */
  readonly onFailure: (failure: HandshakeFailure) => void;
}

export interface HandshakeFailure {
  /** IP address of the peer; empty if that was not known any more. */
  readonly address: string;
  /**
   * Such as `ERR_SSL_WRONG_VERSION_NUMBER` or `UNABLE_TO_VERIFY_LEAF_SIGNATURE`; `TIMEOUT`;
   * `CLOSED`: by the peer without a word, as most do that do not trust the certificate.
   */
  readonly code: string;
}

interface Handshake {
  readonly address: string;
  readonly timer: Timer;
  isLate: boolean;
}

/** TLS for connections that somebody else has accepted. */
export interface TlsLayer {
  accept(socket: Socket): void;
  /**
   * From the next connection on; those that are there go on with what they have. Whether
   * clients need a certificate stays as it was at the start.
   * @throws Error of OpenSSL if they cannot be used; then the former stay
   */
  use(credentials: TlsCredentials): void;
}

/**
 * A client that offers HTTP/1.1 gets it, even if it offers HTTP/2, too: it is a browser,
 * and over HTTP/2 there is only gRPC here. A gRPC client offers HTTP/2 alone.
 */
const ALPN_PROTOCOLS = ["http/1.1", "h2"];

export function createTlsLayer(options: TlsLayerOptions): TlsLayer {
  const { credentials, clock, handshakeTimeoutMs, onSecure, onFailure } = options;
  const isClientAsked = credentials.clientAuthority !== undefined;
  const handshakes = new WeakMap<Socket, Handshake>();
  const server = createServer({
    ...contextOf(credentials),
    ALPNProtocols: ALPN_PROTOCOLS,
    requestCert: isClientAsked,
    rejectUnauthorized: isClientAsked,
  });

  server.on("secureConnection", (socket) => {
    handshakes.get(transportOf(socket))?.timer.cancel();
    socket.allowHalfOpen = true;
    onSecure(socket);
  });
  // Comes once for each handshake that does not end well, whatever the cause.
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
    socket.destroy();
    const handshake = handshakes.get(transportOf(socket));
    // What is wrong with a client's certificate is said there: the error says only that we closed.
    const { authorizationError } = socket;
    const ending = handshake?.isLate ? "TIMEOUT" : "CLOSED";
    const code = error.code === "ECONNRESET" ? ending : (error.code ?? error.message);
    onFailure({ address: handshake?.address ?? "", code: String(authorizationError ?? code) });
  });

  return {
    accept(socket) {
      const timer = clock.setTimer(handshakeTimeoutMs, () => {
        handshake.isLate = true;
        socket.destroy();
      });
      const handshake = { address: socket.remoteAddress ?? "", timer, isLate: false };
      handshakes.set(socket, handshake);
      socket.once("close", () => timer.cancel());
      socket.on("error", () => socket.destroy()); // stays, so that no error finds it without a listener
      socket.allowHalfOpen = false; // who ends his side in the middle of a handshake is gone
      server.emit("connection", socket);
    },
    use: (newer) => server.setSecureContext(contextOf(newer)),
  };
}

function contextOf({ certificate, key, clientAuthority }: TlsCredentials): SecureContextOptions {
  return {
    cert: certificate,
    key,
    ...(clientAuthority === undefined ? {} : { ca: clientAuthority }),
    minVersion: "TLSv1.2",
    // Nobody here needs it, and it costs the server more than the client.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}
