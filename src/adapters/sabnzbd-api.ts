import { ProbeError } from "./adapter.js";
import type { HttpAnswer, HttpCaller } from "./http-call.js";
import { isObject, parseJson } from "./json.js";

/** How its refusals begin. They come as bare text with HTTP 403. */
const REFUSALS: readonly (readonly [RegExp, () => ProbeError])[] = [
  [/^(?:API Key Required|Missing authentication)/i, keyMissing],
  [/^API Key Incorrect/i, keyRefused],
  [/^Access denied - Hostname/i, hostRefused],
  [/^External internet access denied/i, addressRefused],
];

/** What it may say that it asks for: some of it only versions that are too old. */
const WAYS_IN: ReadonlySet<unknown> = new Set(["apikey", "badkey", "login", "None"]);

export interface SabnzbdCall {
  /** Of the API; its field `name` may be a file. */
  readonly fields: Readonly<Record<string, string | File>>;
  readonly key: string;
  /** The longest answer to accept, in bytes; 64 KiB. */
  readonly maxBytes?: number;
}

/**
 * One call with the API key. It goes in the body, since URLs end in logs.
 * @param url of SABnzbd, without a slash at its end
 * @throws ProbeError for a refusal, and for what no SABnzbd answers; what `call` throws.
 */
export async function askSabnzbd(
  url: string,
  { fields, key, maxBytes }: SabnzbdCall,
  call: HttpCaller,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const body = new FormData();
  const all = { ...fields, output: "json", apikey: key };
  for (const [name, value] of Object.entries(all)) body.set(name, value);
  const request = { method: "POST", body, ...(maxBytes && { maxBytes }) } as const;
  const answer = await call(`${url}/api`, request, signal);
  // Without a word if its warnings about the API are switched off.
  if (answer.status === 403) throw refusalOf(answer.text) ?? keyRefused();
  const reply = parseJson(answer.text);
  if (answer.status !== 200 || !isObject(reply)) throw refusalOf(answer.text) ?? notSabnzbd();
  const refusal = reply.status === false && refusalOf(String(reply.error));
  if (refusal) throw refusal;
  return reply;
}

/** @throws ProbeError if no SABnzbd is there, or one that does not let us in, key or not. */
export async function checkSabnzbd(
  url: string,
  call: HttpCaller,
  signal: AbortSignal,
): Promise<void> {
  const answer = await askWayIn(url, call, signal);
  if (!tellsWayIn(answer)) throw refusalOf(answer.text) ?? notSabnzbd();
}

/** Whether a SABnzbd is there; it is sent no key. */
export async function isSabnzbd(
  url: string,
  call: HttpCaller,
  signal: AbortSignal,
): Promise<boolean> {
  const answer = await askWayIn(url, call, signal);
  return tellsWayIn(answer) || (answer.status === 403 && refusalOf(answer.text) !== undefined);
}

/** What it asks for, which it tells anybody; anything else makes it warn of a missing key. */
function askWayIn(url: string, call: HttpCaller, signal: AbortSignal): Promise<HttpAnswer> {
  const body = new URLSearchParams({ mode: "auth", output: "json" });
  return call(`${url}/api`, { method: "POST", body }, signal);
}

function tellsWayIn({ status, text }: HttpAnswer): boolean {
  const reply = parseJson(text);
  return status === 200 && isObject(reply) && WAYS_IN.has(reply.auth);
}

function refusalOf(text: string): ProbeError | undefined {
  return REFUSALS.find(([pattern]) => pattern.test(text))?.[1]();
}

export function keyMissing(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "SABnzbd wants its API key: it is in its settings under General",
  );
}

function keyRefused(): ProbeError {
  return new ProbeError(
    "authentication-failed",
    "SABnzbd refuses the API key: give the one from its settings under General, not the NZB key",
  );
}

function hostRefused(): ProbeError {
  return new ProbeError(
    "unreachable",
    "SABnzbd does not know the host name of its URL: add it to host_whitelist in its special settings, or use its IP address",
  );
}

function addressRefused(): ProbeError {
  return new ProbeError(
    "unreachable",
    "SABnzbd lets in nobody from this network: raise External internet access (inet_exposure) to full API in its settings, or add the network to local_ranges",
  );
}

export function notSabnzbd(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "what answers there is not SABnzbd: check the URL, without /api at its end",
  );
}
