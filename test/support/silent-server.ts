import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/**
 * Accepts TCP on 127.0.0.1, reads, and never says a word, as a process that hangs or
 * is something else altogether. Only an end is answered, by an end.
 */
export class SilentServer {
  readonly #sockets = new Set<Socket>();
  #accepted = 0;

  private constructor(
    readonly listener: Server,
    readonly port: number,
  ) {}

  /** On a free port if none is named. Rejects where somebody listens already. */
  static async start(port = 0): Promise<SilentServer> {
    const listener = createServer().listen(port, "127.0.0.1");
    await once(listener, "listening");
    const server = new SilentServer(listener, (listener.address() as AddressInfo).port);
    listener.on("connection", (socket) => server.#accept(socket));
    return server;
  }

  /** Connections that were ever accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Resets what is connected, and listens no more. Once more changes nothing. */
  async close(): Promise<void> {
    const closed = this.listener.listening && once(this.listener, "close");
    this.listener.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#accepted += 1;
    this.#sockets.add(socket);
    socket.on("error", () => {}); // a reset closes it
    socket.on("close", () => this.#sockets.delete(socket));
    socket.resume();
  }
}
