import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { isIPv6 } from "node:net";
import { answer } from "./api-answer.js";
import { createRotateRoute } from "./rotate-route.js";
import type { Rotate } from "./rotation.js";
import { StartError } from "./start-error.js";

const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 256;
const MAX_HEADER_BYTES = 8 * 1024;

export interface ApiOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Whether the headers hold a key that opens this. */
  readonly accepts: (headers: IncomingHttpHeaders) => boolean;
  /** What `GET /api/status` answers; no secrets. */
  readonly status: () => object;
  /** What `POST /api/rotate-key` does; undefined while it cannot be done yet. */
  readonly rotate: () => Rotate | undefined;
  /** Host names, besides addresses and `localhost`, by which callers may know this one. */
  readonly hostNames?: readonly string[];
}

export interface Api {
  /** `http://host:port`, where it listens. */
  readonly url: string;
  close(): Promise<void>;
}

interface Route {
  readonly methods: readonly string[];
  readonly handle: RequestListener;
}

/**
 * Haul's HTTP API: `GET /health` for everybody; `GET /api/status` and
 * `POST /api/rotate-key` for who has the key.
 * @throws StartError if the address cannot be bound.
 */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { host, port, accepts, status, rotate, hostNames = [] } = options;
  const withKey =
    (handle: RequestListener): RequestListener =>
    (request, response) =>
      accepts(request.headers) ? handle(request, response) : refuseKey(response);
  const reading = ["GET", "HEAD"];
  const routes: Readonly<Record<string, Route>> = {
    "/health": {
      methods: reading,
      handle: (_, response) => answer(response, 200, { status: "ok" }),
    },
    "/api/status": {
      methods: reading,
      handle: withKey((_, response) => answer(response, 200, status())),
    },
    "/api/rotate-key": {
      methods: ["POST"],
      handle: withKey(createRotateRoute({ rotate, hostNames: [host, ...hostNames] })),
    },
  };
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    (request, response) => route(routes, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.on("error", (error) => reject(cannotListen(error, host, port)));
    server.listen(port, host, resolve);
  });
  const address = server.address();
  const actualPort = typeof address === "object" && address ? address.port : port;
  return {
    url: `http://${isIPv6(host) ? `[${host}]` : host}:${actualPort}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function route(
  routes: Readonly<Record<string, Route>>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = request.url?.split("?", 1)[0] ?? "";
  const found = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (!found) {
    answer(response, 404, { error: "there is nothing here: see /health and /api/status" });
  } else if (!found.methods.includes(request.method ?? "")) {
    response.setHeader("allow", found.methods.join(", "));
    answer(response, 405, { error: `only ${found.methods[0]} works here` });
  } else {
    found.handle(request, response);
  }
  // What of a body was not asked for is not read: the connection ends after the answer.
  response.once("finish", () => {
    if (!request.complete) request.destroy();
  });
}

function refuseKey(response: ServerResponse): void {
  response.setHeader("www-authenticate", "Bearer");
  const where = "it is in the file api.key of Haul's state directory";
  answer(response, 401, { error: `send Haul's API key as X-Api-Key or as bearer token: ${where}` });
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): StartError {
  const where = `${host}:${port}`;
  const problems: Readonly<Record<string, string>> = {
    EADDRINUSE: "the port is in use: stop the program that has it, or give another with --listen",
    EADDRNOTAVAIL: "this host does not have that address: give one of its own with --listen",
    EACCES: "this user may not use that port: give one above 1023 with --listen",
    ENOTFOUND: "that name is not known here: give an address of this host with --listen",
  };
  const problem = problems[error.code ?? ""] ?? `${error.message}: give another with --listen`;
  return new StartError(`cannot listen on ${where}: ${problem}`, { cause: error });
}
