import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { onTestFinished } from "vitest";

/** A TCP connection that remembers what came. */
export interface RawSocket {
  readonly socket: Socket;
  readonly text: string;
  /** Resolves, in ms since it was connected, when the other end has closed it. */
  readonly closed: Promise<number>;
}

export interface RawSocketOptions {
  /** Left out: plain text. */
  readonly tls?: ConnectionOptions;
  /** The address of loopback that it comes from. */
  readonly from?: string;
}

export async function rawSocket(
  port: number,
  { tls, from = "127.0.0.1" }: RawSocketOptions = {},
): Promise<RawSocket> {
  const chunks: Buffer[] = [];
  const address = { port, host: "127.0.0.1", localAddress: from };
  const socket = tls ? connectTls({ ...tls, ...address }) : connect({ ...address, noDelay: true });
  onTestFinished(() => void socket.destroy());
  socket.on("data", (chunk) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => {
    socket.once(tls ? "secureConnect" : "connect", resolve);
    socket.once("error", reject);
  });
  const startAt = performance.now();
  socket.on("error", () => {});
  return {
    socket,
    get text() {
      return Buffer.concat(chunks).toString("latin1");
    },
    closed: new Promise((resolve) =>
      socket.once("close", () => resolve(performance.now() - startAt)),
    ),
  };
}
