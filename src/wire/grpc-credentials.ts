import type { Socket } from "node:net";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";

/** How grpc-js turns a TCP connection into one that it can use. */
type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * Credentials of a channel to an `http` or `https` server. What is below the channel ends
 * with it: grpc-js by itself would still connect once the pause after a failed attempt is
 * over, or once a silent server speaks, and keep a connection that nobody can use.
 */
export function createCredentials(scheme: "http" | "https"): ChannelCredentials {
  const created = scheme === "https" ? credentials.createSsl() : credentials.createInsecure();
  const createConnector = created._createSecureConnector.bind(created);
  created._createSecureConnector = (...of) => new EndingConnector(createConnector(...of));
  return created;
}

/** One for each address of a channel; destroyed when the channel is closed, or has left the address. */
class EndingConnector implements Connector {
  readonly #connector: Connector;
  #state: "open" | "destroyed" = "open";
  #latest: Socket | undefined;

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
    return this.#connector.connect(socket);
  }

  getCallCredentials(): ReturnType<Connector["getCallCredentials"]> {
    return this.#connector.getCallCredentials();
  }

  destroy(): void {
    this.#state = "destroyed";
    // Where the server has spoken, calls may go on to their end, and then grpc-js closes it.
    if (this.#latest?.bytesRead === 0) this.#latest.destroy();
    this.#connector.destroy();
  }

  /** @throws Error after which grpc-js gives up, and closes what it has begun */
  #mustBeOpen(): void {
    if (this.#state === "destroyed") throw new Error("the channel was closed");
  }
}
