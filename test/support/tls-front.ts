import { connect, type Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import type { KeyedCertificate } from "../../src/pulse/certificates.js";

export interface TlsFrontOptions {
  /** Port of a plain server at 127.0.0.1 behind it; left out: it says nothing after the handshake. */
  readonly port?: number;
  readonly certificate: KeyedCertificate;
  /** PEM: clients must show a certificate that it has signed. */
  readonly clientCa?: string;
  readonly host?: string;
  readonly listenPort?: number;
}

/** TLS before a plain server. It knows what clients sent once the handshake was over. */
export interface TlsFront {
  readonly port: number;
  /** `https://127.0.0.1:port` */
  readonly url: string;
  /** All that came inside TLS, since it began. */
  received(): string;
  /** How often somebody connected. */
  readonly connections: number;
  /** Server names that clients asked for, undefined for none. */
  readonly serverNames: (string | undefined)[];
  /** TCP connections that are open. */
  readonly sockets: Set<Socket>;
  /** From the next connection on it shows this certificate; those that are there end. */
  renew(certificate: KeyedCertificate): void;
  stop(): Promise<void>;
}

export async function startTlsFront(options: TlsFrontOptions): Promise<TlsFront> {
  const { certificate, clientCa, host = "127.0.0.1" } = options;
  const sockets = new Set<Socket>();
  const serverNames: (string | undefined)[] = [];
  let received = "";
  let connections = 0;
  const server = createServer({
    ...contextOf(certificate),
    ALPNProtocols: ["h2"],
    ...(clientCa && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  });
  server.on("connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", () => {});
  server.on("secureConnection", (socket: TLSSocket) => {
    serverNames.push(
      (socket as TLSSocket & { servername?: string | false }).servername || undefined,
    );
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      received += bytes.toString("latin1");
    });
    if (options.port === undefined) return;
    const behind = connect(options.port, "127.0.0.1");
    behind.on("error", () => socket.destroy());
    behind.on("close", () => socket.destroy());
    socket.on("close", () => behind.destroy());
    socket.pipe(behind).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(options.listenPort ?? 0, host, resolve));
  const { port } = server.address() as { port: number };
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port,
    url: `https://${host}:${port}`,
    received: () => received,
    get connections() {
      return connections;
    },
    serverNames,
    sockets,
    renew(next) {
      server.setSecureContext({ ...contextOf(next), ...(clientCa && { ca: clientCa }) });
      cut();
    },
    stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cut();
      return closed;
    },
  };
}

function contextOf({ certificate, key }: KeyedCertificate) {
  return { cert: certificate, key };
}
