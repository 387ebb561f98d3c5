import {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from "node:http";
import { request as requestHttps } from "node:https";
import type { LookupFunction } from "node:net";
import { hostOf } from "../lib/host.js";
import { ProbeError } from "./adapter.js";
import type { IpAddress } from "./host-addresses.js";

const MAX_HEADER_BYTES = 16 * 1024;
/** Answers "wait, there is more to come", which nobody who is well sends again and again. */
const MAX_INFORMATION = 4;

export interface HttpRequest {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | URLSearchParams | FormData;
  /** The longest body to accept, in bytes; 64 KiB. */
  readonly maxBytes?: number;
}

/** An answer of which the headers are there. */
export interface Answer {
  readonly response: IncomingMessage;
  /** Why there will be no more of it: the response itself says only that it was cut short. */
  readonly failure: () => Error | undefined;
}

/** Asks, and waits for the headers. Connects to one of these addresses, and to no other. */
export async function ask(
  url: URL,
  { method = "GET", headers = {}, body }: HttpRequest,
  addresses: readonly IpAddress[],
  signal: AbortSignal,
): Promise<Answer> {
  const sent = body === undefined ? undefined : await encode(body);
  signal.throwIfAborted();
  const options: RequestOptions & { readonly rejectUnauthorized: true } = {
    protocol: url.protocol,
    host: hostOf(url),
    port: url.port,
    path: url.pathname + url.search,
    method,
    headers: {
      accept: "*/*",
      "accept-encoding": "identity",
      ...(sent && { "content-type": sent.type, "content-length": sent.bytes.length }),
      ...headers,
    },
    lookup: lookupOf(addresses),
    agent: false, // a connection of its own, so that none is used that another rule let through
    maxHeaderSize: MAX_HEADER_BYTES,
    rejectUnauthorized: true, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    signal,
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === "https:" ? requestHttps : requestHttp)(options);
    let failure: Error | undefined;
    request.once("response", (response) => resolve({ response, failure: () => failure }));
    request.on("error", (error) => {
      failure = error;
      reject(error);
    });
    request.once("close", () => reject(new Error("closed without an answer")));
    request.once("upgrade", (_, socket) => {
      socket.destroy();
      reject(new ProbeError("wrong-kind", "it changes the protocol, which was not asked for"));
    });
    boundInformation(request, reject);
    request.end(sent?.bytes);
  });
}

/** As the platform writes it, the boundaries of a form with files among that. */
async function encode(
  body: string | URLSearchParams | FormData,
): Promise<{ readonly type: string; readonly bytes: Buffer }> {
  const response = new Response(body);
  const type = response.headers.get("content-type") ?? "";
  return { type, bytes: Buffer.from(await response.arrayBuffer()) };
}

function boundInformation(request: ClientRequest, reject: (error: Error) => void): void {
  let count = 0;
  request.on("information", () => {
    count += 1;
    if (count <= MAX_INFORMATION) return;
    reject(new ProbeError("wrong-kind", "it announces an answer again and again"));
    request.destroy();
  });
}

/** A look-up that has been made. */
function lookupOf(addresses: readonly IpAddress[]): LookupFunction {
  return (_, { all }, callback) => {
    const [first] = addresses;
    if (all) callback(null, [...addresses]);
    else callback(null, first?.address ?? "", first?.family);
  };
}
