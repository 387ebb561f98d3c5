import type { Clock } from "../lib/clock.js";
import { createCallBounds } from "./call-bounds.js";
import { createGrpcServer } from "./grpc-server.js";
import { createHttpServer, type Routes } from "./http-server.js";
import { DEFAULT_LIMITS, type WireLimits } from "./limits.js";
import { listen } from "./listener.js";
import type { Mount, OnInternalError } from "./mount.js";
import { encodeTextWithBuffer } from "./text-encoding.js";
import type { HandshakeFailure, TlsCredentials } from "./tls.js";

export { type Mount, mount } from "./mount.js";
export type { HandshakeFailure, TlsCredentials } from "./tls.js";

export interface WireServerOptions {
  readonly host: string;
  /** Port 0 takes a free one. */
  readonly port: number;
  readonly clock: Clock;
  /** The services, each served over gRPC, Connect and gRPC-Web. */
  readonly mounts: readonly Mount[];
  /** Answers plain HTTP/1.1 requests; false for one that it does not know. */
  readonly routes: Routes;
  /** A handler threw something that is no status, or its reply cannot be sent. */
  readonly onInternalError: OnInternalError;
  /** Left out, plain text. */
  readonly tls?: {
    readonly credentials: TlsCredentials;
    /** Told of each handshake that fails. */
    readonly onFailure: (failure: HandshakeFailure) => void;
  };
  readonly limits?: Partial<WireLimits>;
}

/** gRPC, Connect, gRPC-Web and plain HTTP on one port, in plain text or in TLS. */
export interface WireServer {
  readonly host: string;
  readonly port: number;
  /**
   * Shows new connections these credentials; the others go on. Not for plain text.
   * @throws Error of OpenSSL if they cannot be used; then the former stay
   */
  useCredentials(credentials: TlsCredentials): void;
  /**
   * Takes no more calls, lets those that run finish for up to `graceMs`, then ends
   * them. Resolves when every connection is closed and every handler was told; the
   * same promise if called again.
   */
  stop(graceMs: number): Promise<void>;
}

/** @throws the system's error, with `syscall` and `code`, if the address cannot be bound */
export async function startServer(options: WireServerOptions): Promise<WireServer> {
  const { host, port, clock, mounts, routes, tls, onInternalError } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  encodeTextWithBuffer();
  const bounds = createCallBounds(limits, clock);
  const grpc = createGrpcServer({ mounts, clock, limits, bounds, onInternalError });
  const http = createHttpServer({ mounts, routes, clock, limits, bounds, onInternalError });
  const listener = await listen({
    host,
    port,
    clock,
    maxConnections: limits.maxConnections,
    maxConnectionsPerAddress: limits.maxConnectionsPerAddress,
    sniffTimeoutMs: limits.sniffTimeoutMs,
    ...(tls && { tls: { ...tls, handshakeTimeoutMs: limits.handshakeTimeoutMs } }),
    onHttp2: (socket) => grpc.accept(socket),
    onHttp1: (socket) => http.accept(socket),
    onError: (error) => onInternalError("accept", error),
  }).catch((error: unknown) => {
    http.close(); // its timers run
    throw error;
  });

  async function stopAll(graceMs: number): Promise<void> {
    listener.close();
    http.close();
    const grpcClosed = grpc.close();
    const force = clock.setTimer(graceMs, () => listener.destroy());
    await Promise.all([listener.closed, grpcClosed]);
    force.cancel();
    await new Promise(setImmediate); // by then the handlers of broken calls have been told
  }

  let stopped: Promise<void> | undefined;
  return {
    host,
    port: listener.port,
    useCredentials: (credentials) => listener.tls?.use(credentials),
    stop: (graceMs) => {
      stopped ??= stopAll(graceMs);
      return stopped;
    },
  };
}
