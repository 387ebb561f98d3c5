import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { isIPv6 } from "node:net";
import { holdsKey } from "./api-key.js";
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
  readonly key: string;
  /** What `GET /api/status` answers; no secrets. */
  readonly status: () => object;
}

export interface Api {
  /** `http://host:port`, where it listens. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Haul's HTTP API: `GET /health` for everybody, `GET /api/status` for who has the key.
 * @throws StartError if the address cannot be bound.
 */
export async function startApi({ host, port, key, status }: ApiOptions): Promise<Api> {
  const routes: Readonly<Record<string, RequestListener>> = {
    "/health": (_, response) => answer(response, 200, { status: "ok" }),
    "/api/status": (request, response) =>
      holdsKey(request.headers, key) ? answer(response, 200, status()) : refuseKey(response),
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
  routes: Readonly<Record<string, RequestListener>>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = request.url?.split("?", 1)[0] ?? "";
  const handle = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (!handle) {
    answer(response, 404, { error: "there is nothing here: see /health and /api/status" });
  } else if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    answer(response, 405, { error: "only GET works here" });
  } else {
    handle(request, response);
  }
  // A body was not asked for and is not read: the connection ends after the answer.
  response.once("finish", () => {
    if (!request.complete) request.destroy();
  });
}

function refuseKey(response: ServerResponse): void {
  response.setHeader("www-authenticate", "Bearer");
  const where = "it is in the file api.key of Haul's state directory";
  answer(response, 401, { error: `send Haul's API key as X-Api-Key or as bearer token: ${where}` });
}

function answer(response: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(text);
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
