import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  createConnectRouter,
  createContextValues,
} from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Clock } from "../lib/clock.js";
import { withoutMapping } from "../lib/host.js";
import type { BoundedCall, CallBounds } from "./call-bounds.js";
import { capTimeout } from "./grpc-timeout.js";
import { addressKey } from "./handler-context.js";
import { checkRequest } from "./http-decoding.js";
import { httpImplementation } from "./http-handlers.js";
import type { WireLimits } from "./limits.js";
import type { Mount, OnInternalError } from "./mount.js";
import { createStallWatch } from "./write-stall.js";

/** Handles a request that is no call; false if it is none of its own. */
export type Routes = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface HttpServerOptions {
  readonly mounts: readonly Mount[];
  readonly routes: Routes;
  readonly clock: Clock;
  readonly limits: WireLimits;
  readonly bounds: CallBounds;
  readonly onInternalError: OnInternalError;
}

/** HTTP/1.1 for connections that somebody else has accepted: Connect, gRPC-Web and plain pages. */
export interface HttpServer {
  /** Takes a connection whose first bytes are still unread. */
  accept(socket: Socket): void;
  /** Closes all connections that wait for a request, and the others when they have answered theirs. */
  close(): void;
}

/** gRPC's own content types, and not gRPC-Web's. */
const GRPC_CONTENT = /^application\/grpc(?!-web)/i;
const GRPC_HINT =
  "gRPC needs HTTP/2: use plain text with prior knowledge (h2c), or speak Connect or gRPC-Web here";
const MAX_HEADERS = 100;

export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { clock, limits, onInternalError } = options;
  const calls = createCalls(options);
  /** Each connection, and the answers it still has to get. */
  const connections = new Map<Socket, number>();
  let isClosing = false;
  const stalls = createStallWatch<Socket>({
    clock,
    stallMs: limits.writeStallMs,
    writtenBytes: (socket) => socket.bytesWritten,
    onStall: (socket) => socket.destroy(),
  });

  const server = createServer(
    {
      noDelay: true,
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: Math.min(1_000, limits.headersTimeoutMs),
    },
    (request, response) => {
      const { socket } = request;
      count(socket, +1);
      response.once("close", () => {
        count(socket, -1);
        if (isClosing && !connections.get(socket)) socket.destroySoon();
      });
      try {
        answer(request, response);
      } catch (error) {
        onInternalError(request.url ?? "", error);
        refuse(response, 500, "internal error");
      }
    },
  );
  server.maxHeadersCount = MAX_HEADERS;
  server.emit("listening"); // it never listens itself, but this is what arms its timeouts

  function count(socket: Socket, change: number): void {
    const open = connections.get(socket);
    if (open !== undefined) connections.set(socket, open + change);
  }

  function answer(request: IncomingMessage, response: ServerResponse): void {
    if (options.routes(request, response)) return;
    if (GRPC_CONTENT.test(request.headers["content-type"] ?? "")) refuse(response, 415, GRPC_HINT);
    else if (!calls(request, response)) refuse(response, 404, "nothing is here");
  }

  return {
    accept(socket) {
      connections.set(socket, 0);
      socket.once("close", () => connections.delete(socket));
      stalls.add(socket);
      server.emit("connection", socket);
    },
    close() {
      isClosing = true;
      server.close(() => {}); // stops its timers; it says that it never listened
      for (const [socket, open] of connections) if (open === 0) socket.destroySoon();
    },
  };
}

/**
 * Answers the calls of all mounts; false for a path that is none of them. This is
 * what connectNodeAdapter does, but it writes errors to the console, and throws at
 * a request without a usable Host.
 */
function createCalls({ mounts, limits, bounds, onInternalError }: HttpServerOptions): Routes {
  const router = createConnectRouter({
    grpc: false, // HTTP/1.1 has no trailers that clients can see
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: limits.maxMessageBytes,
    writeMaxBytes: limits.maxMessageBytes,
  });
  for (const mount of mounts)
    router.service(mount.service, httpImplementation(mount, onInternalError));
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (!handler) return false;
    capTimeouts(request, limits.maxTimeoutMs);
    let call: Parameters<typeof handler>[0];
    try {
      call = universalRequestFromNodeRequest(request, response, undefined, undefined);
    } catch {
      refuse(response, 400, "the header Host is missing or no host");
      return true;
    }
    const bounded = bounds.begin(request.socket.remoteAddress ?? "", () => request.destroy());
    if (!bounded) {
      refuse(response, 429, "too many calls at a time: make fewer, or try again later");
      return true;
    }
    bounded.release(); // how long it may take is for Node to say
    response.once("close", () => bounded.end());
    const { method } = handler;
    const body = bodyOf(request, response, bounded);
    const whole = { ...call, body, contextValues: valuesOf(request) };
    const checked = isSingle(method)
      ? checkRequest(whole, method.input, limits.maxMessageBytes)
      : whole;
    Promise.resolve(checked)
      .then(handler)
      .then((reply) => universalResponseToNodeResponse(reply, response))
      .catch((error: unknown) => {
        response.destroy();
        // ABORTED is how connect-node says that the peer is gone.
        if (ConnectError.from(error).code !== Code.Aborted) onInternalError(path, error);
      });
    return true;
  };
}

/** Whether its calls have one request, which is decoded before they begin. */
function isSingle({ methodKind }: DescMethod): boolean {
  return methodKind === "unary" || methodKind === "server_streaming";
}

/** What a handler may know of a request that Connect does not tell it. */
function valuesOf({ socket }: IncomingMessage): ContextValues {
  const address = withoutMapping(socket.remoteAddress ?? "");
  return createContextValues().set(addressKey, address);
}

/** Shortens the timeout of a call: Connect's header has it in ms, gRPC-Web's is gRPC's. */
function capTimeouts({ headers }: IncomingMessage, maxMs: number): void {
  if (Number(headers["connect-timeout-ms"]) > maxMs) headers["connect-timeout-ms"] = String(maxMs);
  const timeout = headers["grpc-timeout"];
  if (typeof timeout === "string") headers["grpc-timeout"] = capTimeout(timeout, maxMs);
}

/**
 * The body of a request. Its own iterator would destroy the connection, and the
 * answer with it, when a call fails before all is read; and what is left unread
 * would stand in the way of the next request.
 */
function bodyOf(
  request: IncomingMessage,
  response: ServerResponse,
  bounded: BoundedCall,
): AsyncIterable<Uint8Array> {
  response.once("finish", () => request.resume());
  return countBody(request, bounded);
}

async function* countBody(
  request: IncomingMessage,
  bounded: BoundedCall,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    if (request.complete) bounded.release();
    else bounded.hold(chunk.length);
    yield chunk;
  }
  bounded.release();
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(`${message}\n`);
}
