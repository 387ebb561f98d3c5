import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { eventually } from "./eventually.js";
import { FaultProxy } from "./fault-proxy.js";

/** One end of a connection: what it has heard, and how that ended. */
export interface Side {
  readonly socket: Socket;
  heard: string;
  ended: "" | "FIN" | "RST";
}

/** A service that answers nothing by itself, behind a fault proxy: for the proxy's own tests. */
export class ProxiedService {
  /** What the service has of each connection, in their order. */
  readonly served: Side[] = [];

  private constructor(
    readonly listener: Server,
    readonly port: number,
    readonly proxy: FaultProxy,
  ) {}

  static async start(): Promise<ProxiedService> {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    const service = new ProxiedService(listener, port, await FaultProxy.open(port));
    listener.on("connection", (socket) => service.served.push(recorded(socket)));
    return service;
  }

  client(allowHalfOpen = false): Side {
    const side = recorded(connect({ port: this.proxy.port, host: "127.0.0.1", allowHalfOpen }));
    onTestFinished(() => void side.socket.destroy());
    return side;
  }

  /** A client that has spoken to the service once, and the service's side of it. */
  async pair(allowHalfOpen = false): Promise<{ here: Side; there: Side }> {
    const before = this.served.length;
    const here = this.client(allowHalfOpen);
    here.socket.write("hello ");
    const there = await eventually(() => {
      const side = this.served[before];
      if (side?.heard !== "hello ") throw new Error("the service has not heard of it");
      return side;
    });
    return { here, there };
  }

  async close(): Promise<void> {
    if (this.proxy.mode !== "closed") await this.proxy.close();
    for (const { socket } of this.served) socket.destroy();
    this.listener.close();
  }
}

function recorded(socket: Socket): Side {
  const side: Side = { socket, heard: "", ended: "" };
  socket.setEncoding("utf8").on("data", (text: string) => {
    side.heard += text;
  });
  socket.on("end", () => {
    side.ended = "FIN";
  });
  socket.on("error", () => {
    side.ended = "RST";
  });
  return side;
}
