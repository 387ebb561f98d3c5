import type { Socket } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Clock } from "../lib/clock.js";
import type { CallBounds } from "./call-bounds.js";
import { grpcHandler, methodDefinition } from "./grpc-handlers.js";
import { guardHttp2 } from "./http2-guard.js";
import type { WireLimits } from "./limits.js";
import { type Mount, type OnInternalError, pathOf } from "./mount.js";

export interface GrpcServerOptions {
  readonly mounts: readonly Mount[];
  readonly clock: Clock;
  readonly limits: WireLimits;
  readonly bounds: CallBounds;
  readonly onInternalError: OnInternalError;
}

/** gRPC over HTTP/2, for connections that somebody else has accepted. */
export interface GrpcServer {
  /** Takes a connection whose first bytes, still unread, are the HTTP/2 preface. */
  accept(socket: Socket): void;
  /**
   * Takes no more calls: idle connections are closed now, the others with their last
   * call. Resolves when all are closed.
   */
  close(): Promise<void>;
}

/** How long a peer may take to close its half after we have closed ours. */
const LINGER_MS = 1_000;

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { mounts, clock, limits, bounds, onInternalError } = options;
  // Not with grpc-js' keepalive: it goes on after GOAWAY, and kills calls that drain
  // (grpc-node#3068). What finds vanished peers is http2-silence.ts.
  const server = new Server({
    "grpc.max_concurrent_streams": limits.maxStreamsPerConnection,
    "grpc.max_receive_message_length": limits.maxMessageBytes,
    "grpc.max_send_message_length": limits.maxMessageBytes,
    "grpc.max_connection_idle_ms": limits.idleConnectionMs,
    "grpc.enable_channelz": 0, // counts every message, for nobody
  });
  for (const mount of mounts) addMount(server, mount, { clock, limits, onInternalError });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  guardHttp2(server, limits, bounds, clock);

  return {
    accept(socket) {
      // A peer that vanished never closes its half, and would hold ours for ever.
      socket.once("finish", () => {
        const timer = clock.setTimer(LINGER_MS, () => socket.destroy());
        socket.once("close", () => timer.cancel());
      });
      injector.injectConnection(socket);
    },
    close: () =>
      new Promise((resolve) => {
        server.tryShutdown(() => resolve());
      }),
  };
}

function addMount(
  server: Server,
  { service, methods }: Mount,
  { clock, limits, onInternalError }: Omit<GrpcServerOptions, "mounts" | "bounds">,
): void {
  const entries = Object.entries(methods).map(([name, spec]) => {
    const path = pathOf(spec.method);
    const tools = {
      clock,
      maxMessageBytes: limits.maxMessageBytes,
      onInternalError: (error: unknown) => onInternalError(path, error),
    };
    return [name, methodDefinition(spec, tools), grpcHandler(spec, tools)] as const;
  });
  if (entries.length === 0) throw new Error(`${service.typeName} has no methods`);
  server.addService(
    Object.fromEntries(entries.map(([name, definition]) => [name, definition])),
    Object.fromEntries(entries.map(([name, , handler]) => [name, handler])),
  );
}
