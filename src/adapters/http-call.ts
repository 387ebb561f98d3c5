import { type IncomingHttpHeaders, type IncomingMessage, STATUS_CODES } from "node:http";
import type { Clock } from "../lib/clock.js";
import { hostOf } from "../lib/host.js";
import type { AddressRule } from "../lib/probe-address.js";
import { ProbeError } from "./adapter.js";
import { createHostAddresses, type Resolve } from "./host-addresses.js";
import { ask, type HttpRequest } from "./http-ask.js";
import { withTimeLimit } from "./time-limit.js";

/** A download client that needs longer than this is as good as away. */
export const CALL_TIMEOUT_MS = 5_000;
const DEFAULT_MAX_BYTES = 64 * 1024;

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  /** The pairs of all cookies set, fit for a `cookie` header; empty if none was. */
  readonly cookies: string;
  readonly headers: Readonly<IncomingHttpHeaders>;
}

/**
 * One HTTP exchange, from the look-up of the name to the last byte within 5 s.
 *
 * @throws ProbeError `unreachable` if there is no whole answer or one of 5xx, or no
 *   address may be called; `wrong-kind` for a redirect, or for more than was asked
 *   for; the signal's reason when it aborts.
 */
export type HttpCaller = (
  url: string,
  request: HttpRequest,
  signal: AbortSignal,
) => Promise<HttpAnswer>;

/** Speaks to one origin. */
export interface HttpClient {
  readonly call: HttpCaller;
  /** From the next call on the host may be at another address. */
  lookAnew(): void;
}

export interface HttpClientOptions {
  readonly clock: Clock;
  /** Which addresses may be called; left out, all. */
  readonly addressRule?: AddressRule;
  /** For tests. */
  readonly resolve?: Resolve;
}

/** @param base a URL of the origin: calls to any other are refused, whatever it answers. */
export function createHttpClient(
  base: string,
  { clock, addressRule, resolve }: HttpClientOptions,
): HttpClient {
  const home = URL.canParse(base) ? new URL(base) : undefined;
  const addresses = createHostAddresses(home ? hostOf(home) : "", addressRule, resolve);
  const limit = { clock, timeoutMs: CALL_TIMEOUT_MS, meaning: "it did not answer" };

  async function exchange(
    url: URL,
    { maxBytes = DEFAULT_MAX_BYTES, ...request }: HttpRequest,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const found = await orAborted(addresses.find(), signal);
    const { response, failure } = await ask(url, request, found, signal);
    const { remoteAddress } = response.socket;
    if (remoteAddress) addresses.use(remoteAddress);
    try {
      const { statusCode: status = 0, headers } = response;
      // A redirect may lead anywhere: it is not followed with credentials in hand.
      if (status >= 300 && status < 400) throw redirected();
      if (status >= 500) throw notWell(status);
      // None was asked for, and a little that is unpacked may be very much.
      if (!/^(identity)?$/i.test(headers["content-encoding"] ?? "")) throw packed();
      const text = await readText(response, maxBytes).catch((error) => {
        throw failure() ?? error;
      });
      return { status, text, cookies: cookiePairs(headers["set-cookie"]), headers };
    } finally {
      response.destroy();
    }
  }

  return {
    lookAnew: () => addresses.forget(),
    call: (address, request, signal) =>
      withTimeLimit(limit, signal, async (signal) => {
        const url = new URL(address);
        if (url.origin !== home?.origin) throw new TypeError("a call to another origin");
        try {
          return await exchange(url, request, signal);
        } catch (error) {
          throw error instanceof ProbeError ? error : noAnswer(error);
        }
      }),
  };
}

async function readText(response: IncomingMessage, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let length = 0;
  let text = "";
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Leaving the loop ends the connection.
    if (length > maxBytes) throw new ProbeError("wrong-kind", "its answer is far too long");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function cookiePairs(cookies: readonly string[] = []): string {
  return cookies.map((cookie) => cookie.split(";", 1)[0]).join("; ");
}

/** What `work` comes to, unless the signal aborts first: a look-up of DNS cannot be stopped. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function redirected(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "it redirects elsewhere, which is not followed: give the URL that it leads to",
  );
}

function packed(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "it packs its answer, which was not asked for: give its own URL rather than a proxy's",
  );
}

function notWell(status: number): ProbeError {
  const name = STATUS_CODES[status];
  return new ProbeError("unreachable", `it answers HTTP ${status}${name ? ` ${name}` : ""}`);
}

function noAnswer(error: unknown): ProbeError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "no connection";
  if (/CERT|SIGNATURE/.test(code))
    return new ProbeError(
      "unreachable",
      `its certificate is not trusted here (${code}): name its CA in NODE_EXTRA_CA_CERTS`,
    );
  if (code === "HPE_HEADER_OVERFLOW")
    return new ProbeError("wrong-kind", "the headers of its answer are far too long");
  if (code.startsWith("HPE_"))
    return new ProbeError("wrong-kind", `it answers, but does not speak HTTP (${code})`);
  return new ProbeError("unreachable", `it does not answer (${code})`, code === "ECONNREFUSED");
}
