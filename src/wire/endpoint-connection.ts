import { Code, ConnectError } from "@connectrpc/connect";
import type { Client } from "@grpc/grpc-js";
import { holdProcess, sleep } from "../lib/clock.js";
import { NO_CONNECTION } from "./connection-failure.js";
import { dialEndpoints, type Link } from "./endpoint-dial.js";
import type { Endpoints } from "./endpoints.js";
import {
  type ChannelUse,
  connectChannel,
  isReady,
  openChannel,
  openEndpointChannel,
  watchChannel,
} from "./grpc-channel.js";

/** How long after all endpoints have failed they are tried again without a call. */
const CONNECT_AGAIN_MS = 1_000;

/** What a transport's calls go over. */
export interface GrpcConnection {
  /**
   * A client to call with.
   * @throws ConnectError if there is none, or of the signal's reason when it aborts
   */
  client(signal: AbortSignal): Promise<Client>;
  /** A call on this client has failed in a way that another endpoint may not: the next one goes there. */
  leave(client: Client): void;
  /** A call has failed for want of a connection. */
  foundNone(): void;
  /**
   * Connects without a call, if it is not connected, and goes on trying. If the newest
   * call has failed for want of a connection, and there is one by now, the listeners
   * are told at once: whoever made the call could not listen before it had failed.
   */
  connect(): void;
  /** Calls `listener` whenever the connection has come up, after there was none to be had, until the close. */
  onReady(listener: () => void): void;
  close(): void;
}

export function openConnection(endpoints: Endpoints, use: ChannelUse): GrpcConnection {
  const { lone } = endpoints;
  return lone === undefined
    ? new EndpointConnection(endpoints, use)
    : openLone(lone, endpoints, use);
}

/** One address and no choice: grpc-js does all there is to do. */
function openLone(address: string, { tls }: Endpoints, use: ChannelUse): GrpcConnection {
  const client = openChannel(address, use, tls);
  const listeners: (() => void)[] = [];
  let foundNone = false;
  return {
    client() {
      foundNone = false;
      return Promise.resolve(client);
    },
    leave: () => {},
    foundNone() {
      foundNone = true;
    },
    connect() {
      if (foundNone && isReady(client)) for (const listener of listeners) listener();
      else connectChannel(client);
    },
    onReady(listener) {
      listeners.push(listener);
      watchChannel(client, listener);
    },
    close: () => client.close(),
  };
}

/**
 * A connection to one of several endpoints. It stays until it is lost or the endpoint
 * is left; then the next call looks all of them up and connects anew.
 */
class EndpointConnection implements GrpcConnection {
  readonly #endpoints: Endpoints;
  readonly #use: ChannelUse;
  readonly #closing = new AbortController();
  readonly #listeners: (() => void)[] = [];
  #link: Link | undefined;
  #dialling: Promise<Link> | undefined;
  #background: "rests" | "connects" = "rests";
  /** Whether there was nobody to connect to when it was tried last. */
  #missed = false;
  /** Whether the newest call has failed for want of a connection. */
  #foundNone = false;

  constructor(endpoints: Endpoints, use: ChannelUse) {
    this.#endpoints = endpoints;
    this.#use = use;
  }

  async client(signal: AbortSignal): Promise<Client> {
    this.#foundNone = false;
    if (this.#isUp()) return (this.#link as Link).client;
    // grpc-js holds the process for calls only, and this is before them.
    const hold = this.#use === "calls" ? holdProcess(this.#endpoints.clock) : undefined;
    try {
      return (await unlessAborted(this.#dial(), signal)).client;
    } finally {
      hold?.release();
    }
  }

  leave(client: Client): void {
    if (this.#link?.client !== client || this.#link.endpoint !== this.#endpoints.current) return;
    this.#endpoints.leave();
  }

  foundNone(): void {
    this.#foundNone = true;
  }

  connect(): void {
    if (this.#foundNone && this.#isUp()) {
      this.#tell();
      return;
    }
    if (this.#background === "connects") return;
    this.#background = "connects";
    void this.#connect().finally(() => {
      this.#background = "rests";
    });
  }

  onReady(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#closing.abort(new ConnectError("the connection was closed", Code.Canceled));
    this.#link?.client.close();
    this.#link = undefined;
  }

  async #connect(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted && !this.#isUp()) {
      await this.#dial().catch(() => {});
      if (this.#isUp()) return;
      await sleep(this.#endpoints.clock, CONNECT_AGAIN_MS, signal).catch(() => {});
    }
  }

  /** Whether it is connected, and to the endpoint that the client has chosen. */
  #isUp(): boolean {
    const link = this.#link;
    return link !== undefined && link.endpoint === this.#endpoints.current && isReady(link.client);
  }

  /** One at a time, whoever asks. */
  #dial(): Promise<Link> {
    this.#dialling ??= this.#dialOnce().finally(() => {
      this.#dialling = undefined;
    });
    return this.#dialling;
  }

  async #dialOnce(): Promise<Link> {
    const endpoints = this.#endpoints;
    const { signal } = this.#closing;
    // Whoever closes a good connection wants his clients elsewhere.
    if (this.#link && this.#link.endpoint === endpoints.current) endpoints.leave();
    this.#link?.client.close(); // calls that run on it go on to their end
    this.#link = undefined;
    const wasMissed = this.#missed;
    this.#missed = true; // until somebody is reached
    const candidates = await unlessAborted(endpoints.candidates(), signal);
    const { link, reached, failed } = await dialEndpoints(
      candidates,
      (endpoint) => openEndpointChannel(endpoint, this.#use, endpoints.tls),
      endpoints.clock,
      signal,
    );
    if (signal.aborted) {
      link?.client.close();
      throw signal.reason;
    }
    for (const endpoint of failed) endpoints.failed(endpoint);
    this.#link = link;
    if (!link) {
      const places = failed.map(({ place }) => place).join(", ");
      throw new ConnectError(`${NO_CONNECTION}no answer from ${places}`, Code.Unavailable);
    }
    if (!reached) return link;
    this.#missed = false;
    endpoints.reached(link.endpoint);
    // Another endpoint that takes connections is no news: the last one did so, too.
    if (wasMissed || this.#foundNone || endpoints.others === "none") this.#tell();
    return link;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** @throws ConnectError of the signal's reason as soon as that aborts, else what the promise brings */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(ConnectError.from(signal.reason, Code.Canceled));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
