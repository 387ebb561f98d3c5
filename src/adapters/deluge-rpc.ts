import { ProbeError } from "./adapter.js";
import type { HttpCaller } from "./http-call.js";
import { isObject, parseJson } from "./json.js";

/** What the web UI of a Deluge says to one call: a result, or an error. */
export interface DelugeReply {
  readonly result: unknown;
  readonly error?: { readonly code: number; readonly message: string };
  /** Cookies that it sets, fit for a header. */
  readonly cookies: string;
}

/** Codes of errors. */
export const NOT_AUTHENTICATED = 1;
/** It has no such method, or speaks to no daemon, which has the most of them. */
export const UNKNOWN_METHOD = 2;

export interface DelugeCall {
  readonly method: string;
  readonly params: readonly unknown[];
  readonly cookie?: string | undefined;
}

const ID = 20_000;
/** Room for the states of about 50,000 unfinished torrents. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * One call to the JSON API.
 * @param url of the web UI, without a slash at its end
 * @throws ProbeError `wrong-kind` if the answer is not of this API; what `call` throws.
 */
export async function askDeluge(
  url: string,
  { method, params, cookie }: DelugeCall,
  call: HttpCaller,
  signal: AbortSignal,
): Promise<DelugeReply> {
  const headers = {
    "content-type": "application/json", // in exactly these words, says 2.0
    ...(cookie && { cookie }),
  };
  const body = JSON.stringify({ method, params, id: ID });
  const request = { method: "POST", headers, body, maxBytes: MAX_BYTES } as const;
  const { status, text, cookies } = await call(`${url}/json`, request, signal);
  const reply = parseJson(text);
  if (status !== 200 || !isObject(reply) || reply.id !== ID || "jsonrpc" in reply)
    throw notDeluge();
  const { result, error } = reply;
  if (error === null) return { result, cookies };
  if (!isObject(error) || typeof error.code !== "number") throw notDeluge();
  return { result, error: { code: error.code, message: String(error.message) }, cookies };
}

/** Whether a Deluge is there; it is told no secret. */
export async function isDeluge(
  url: string,
  call: HttpCaller,
  signal: AbortSignal,
): Promise<boolean> {
  const { result } = await askDeluge(
    url,
    { method: "auth.check_session", params: [] },
    call,
    signal,
  );
  return result === false;
}

export function notDeluge(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "what answers there is not the web UI of a Deluge: check the URL, which is deluge-web's and not the daemon's",
  );
}
