import type { Socket } from "node:net";
import { isIP } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { inUrl } from "../lib/host.js";
import type { Connector } from "./grpc-credentials.js";
import { pinFailure, TLS_FAILED, tlsFailure } from "./tls-failure.js";
import {
  currentTlsOptions,
  normalFingerprint,
  type TlsOptions,
  type TlsSource,
} from "./tls-options.js";
import { releaseWith } from "./unheld-sockets.js";

/** The server that a certificate has to be for. */
export interface TlsServer {
  /** Name or IP address, an IPv6 address without brackets. */
  readonly host: string;
  readonly port: string;
}

/**
 * Makes TLS on the connections of one channel. grpc-js' own takes one set of certificates
 * for all of them, knows no pins, and sends an IP address as a server name.
 */
export class TlsConnector implements Connector {
  readonly #inner: Pick<Connector, "getCallCredentials">;
  readonly #server: TlsServer;
  readonly #source: TlsSource;
  #options: TlsOptions = {};

  constructor(
    inner: Pick<Connector, "getCallCredentials">,
    server: TlsServer,
    source: TlsSource = {},
  ) {
    this.#inner = inner;
    this.#server = server;
    this.#source = source;
  }

  /** Before each attempt, so that no connection waits for files. */
  async waitForReady(): Promise<void> {
    try {
      this.#options = await currentTlsOptions(this.#source);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : "the tls function threw no Error";
      throw new Error(`${TLS_FAILED}${text}`, { cause });
    }
  }

  async connect(socket: Socket): ReturnType<Connector["connect"]> {
    return { socket: await shakeHands(socket, this.#server, this.#options), secure: true };
  }

  getCallCredentials(): ReturnType<Connector["getCallCredentials"]> {
    return this.#inner.getCallCredentials();
  }

  destroy(): void {}
}

/**
 * Resolves with a connection to a server that is trusted: until then nothing but the
 * handshake has been sent. @throws Error that says what to do, and then it is closed
 */
function shakeHands(socket: Socket, server: TlsServer, options: TlsOptions): Promise<TLSSocket> {
  const where = `${inUrl(server.host)}:${server.port}`;
  return new Promise((resolve, reject) => {
    const secured = connect({ socket, ...connectionOptions(server, options) });
    releaseWith(socket, secured);
    // It stays: an error after the handshake has other listeners, but may come before them.
    secured.on("error", (error) => reject(tlsFailure(error, where)));
    secured.once("close", () => reject(new Error("the connection was closed")));
    secured.once("secureConnect", () => {
      const { fingerprint } = options;
      const seen = secured.getPeerCertificate().fingerprint256 ?? "unknown";
      if (fingerprint === undefined || seen === normalFingerprint(fingerprint))
        return resolve(secured);
      reject(pinFailure(where, seen));
      secured.destroy();
    });
  });
}

function connectionOptions({ host }: TlsServer, options: TlsOptions): ConnectionOptions {
  const { ca, cert, key, fingerprint } = options;
  return {
    host,
    // An address is no server name (RFC 6066); the certificate is checked against it all the same.
    ...(isIP(host) ? {} : { servername: host }),
    ALPNProtocols: ["h2"],
    // Node looks at neither chain nor name then: the fingerprint says it all.
    rejectUnauthorized: ca !== undefined || fingerprint === undefined,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}
