import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** `cut`: the service is gone. `blackhole`: the network is gone. */
export type ProxyMode = "open" | "cut" | "blackhole" | "closed";

interface Pair {
  readonly client: Socket;
  /** What the proxy has made for it; none before it may pass for the first time. */
  target: Socket | undefined;
}

/**
 * A TCP proxy in the test's process, on a port of 127.0.0.1 that it keeps through
 * every fault. It reads nothing of what passes.
 */
export class FaultProxy {
  readonly #pairs = new Set<Pair>();
  readonly #forgotten = new Set<Pair>();
  #mode: ProxyMode = "open";
  #accepted = 0;
  #listener: Server | undefined;

  #port = 0;

  private constructor(readonly targetPort: number) {}

  /** Listens on a free port and passes every connection on to `targetPort` of 127.0.0.1. */
  static async open(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    await proxy.#listen();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get mode(): ProxyMode {
    return this.#mode;
  }

  /** Connections of clients that are open now, as far as the proxy has heard of their end. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Connections of clients that were ever accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Resets every connection, and refuses new ones from when it resolves. */
  async cut(): Promise<void> {
    this.#become("cut");
    await this.#refuse();
  }

  /**
   * From now on nothing passes in either direction, neither bytes nor a close nor a
   * reset. New connections are accepted and hear nothing.
   */
  async blackhole(): Promise<void> {
    this.#become("blackhole");
    for (const pair of this.#pairs) still(pair);
    await this.#listen();
  }

  /**
   * All passes again. What was sent into a blackhole arrives late, as after a
   * network's outage, and so does the end of a connection.
   */
  async restore(): Promise<void> {
    if (this.#mode === "open") return;
    this.#become("open");
    for (const pair of this.#pairs) this.#pass(pair);
    await this.#listen();
  }

  /** Resets the connections there are now, and nothing else. */
  reset(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  /**
   * The connections there are now stay silent until `close`, even if all is restored,
   * as when a router has forgotten them. Nobody is told.
   */
  forget(): void {
    for (const pair of this.#pairs) {
      still(pair);
      this.#forgotten.add(pair);
    }
    this.#pairs.clear();
  }

  /** Ends every connection and the proxy. */
  async close(): Promise<void> {
    for (const pair of this.#forgotten) this.#pairs.add(pair);
    await this.cut();
    this.#mode = "closed";
  }

  #become(mode: ProxyMode): void {
    if (this.#mode === "closed") throw new Error("the proxy is closed");
    this.#mode = mode;
  }

  async #listen(): Promise<void> {
    if (this.#listener) return;
    // Unread until it may pass: who does not read hears neither a FIN nor a reset.
    const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    this.#listener = listener;
    listener.on("connection", (client) => this.#accept(client));
    listener.listen(this.#port, "127.0.0.1");
    await once(listener, "listening");
    this.#port = (listener.address() as AddressInfo).port;
  }

  async #refuse(): Promise<void> {
    const closed = this.#listener && once(this.#listener, "close");
    this.#listener?.close();
    this.#listener = undefined;
    this.reset();
    await closed;
  }

  #accept(client: Socket): void {
    const pair: Pair = { client, target: undefined };
    this.#pairs.add(pair);
    client.on("error", () => this.#end(pair));
    client.on("close", () => this.#pairs.delete(pair));
    if (this.#mode === "cut") {
      this.#end(pair); // it was in the backlog
      return;
    }
    this.#accepted += 1;
    if (this.#mode === "open") this.#pass(pair);
  }

  #pass(pair: Pair): void {
    pair.target ??= connect({ port: this.targetPort, host: "127.0.0.1", allowHalfOpen: true }).on(
      "error",
      () => this.#end(pair), // also if nobody listens there
    );
    pair.client.pipe(pair.target);
    pair.target.pipe(pair.client);
  }

  /** Both sides hear of it as of a crash. */
  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.resetAndDestroy();
    pair.target?.resetAndDestroy();
  }
}

/** Nobody reads any more: bytes, ends and resets wait in the kernel. */
function still({ client, target }: Pair): void {
  client.unpipe();
  client.pause();
  target?.unpipe();
  target?.pause();
}
