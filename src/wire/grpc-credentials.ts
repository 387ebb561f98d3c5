import type { Socket } from "node:net";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { TlsConnector, type TlsServer } from "./tls-connector.js";
import type { TlsSource } from "./tls-options.js";

/** How grpc-js turns a TCP connection into one that it can use. */
export type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * Credentials of a channel to an `http` or `https` server. What is below the channel ends
 * with it: grpc-js by itself would still connect once the pause after a failed attempt is
 * over, or once a silent server speaks, and keep a connection that nobody can use.
 */
export function createCredentials(
  server: TlsServer & { readonly scheme: "http" | "https" },
  tls: TlsSource | undefined,
): ChannelCredentials {
  const isTls = server.scheme === "https";
  const created = isTls ? credentials.createSsl() : credentials.createInsecure();
  const createConnector = created._createSecureConnector.bind(created);
  created._createSecureConnector = (...of) => {
    const connector = createConnector(...of);
    return new EndingConnector(isTls ? new TlsConnector(connector, server, tls) : connector);
  };
  return created;
}

/** One for each address of a channel; destroyed when the channel is closed, or has left the address. */
class EndingConnector implements Connector {
  readonly #connector: Connector;
  #state: "open" | "destroyed" = "open";
  /** The TCP connection, or the TLS on it once that is there. */
  #latest: Socket | undefined;
  #phase: "handshake" | "done" = "done";

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  /** Asked before each attempt. */
  async waitForReady(): Promise<void> {
    await this.#connector.waitForReady();
    this.#mustBeOpen();
  }

  async connect(socket: Socket): ReturnType<Connector["connect"]> {
    this.#mustBeOpen();
    this.#latest = socket;
    this.#phase = "handshake";
    const made = await this.#connector.connect(socket);
    this.#latest = made.socket;
    this.#phase = "done";
    return made;
  }

  getCallCredentials(): ReturnType<Connector["getCallCredentials"]> {
    return this.#connector.getCallCredentials();
  }

  destroy(): void {
    this.#state = "destroyed";
    // Where the server has spoken, calls may go on to their end, and then grpc-js closes it.
    if (this.#phase === "handshake" || this.#latest?.bytesRead === 0) this.#latest?.destroy();
    this.#connector.destroy();
  }

  /** @throws Error after which grpc-js gives up, and closes what it has begun */
  #mustBeOpen(): void {
    if (this.#state === "destroyed") throw new Error("the channel was closed");
  }
}
