import { STATUS_CODES } from "node:http";
import type { Clock } from "../lib/clock.js";
import { ProbeError } from "./adapter.js";
import { withTimeLimit } from "./time-limit.js";

/** A download client that needs longer than this is as good as away. */
export const CALL_TIMEOUT_MS = 5_000;
const DEFAULT_MAX_BYTES = 64 * 1024;

export interface HttpRequest {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | URLSearchParams;
  /** The longest body to accept, in bytes; 64 KiB. */
  readonly maxBytes?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  /** The pairs of all cookies set, fit for a `cookie` header; empty if none was. */
  readonly cookies: string;
}

/**
 * One HTTP exchange, from the connection to the last byte within 5 s.
 *
 * @throws ProbeError `unreachable` if there is no whole answer or one of 5xx,
 *   `wrong-kind` for a redirect or a body too long; the signal's reason when it aborts.
 */
export type HttpCaller = (
  url: string,
  request: HttpRequest,
  signal: AbortSignal,
) => Promise<HttpAnswer>;

export function createHttpCaller(clock: Clock): HttpCaller {
  const limit = { clock, timeoutMs: CALL_TIMEOUT_MS, meaning: "it did not answer" };
  return (url, { maxBytes = DEFAULT_MAX_BYTES, ...request }, signal) =>
    withTimeLimit(limit, signal, async (signal) => {
      try {
        // A redirect may lead anywhere: it is not followed with credentials in hand.
        const response = await fetch(url, { ...request, redirect: "manual", signal });
        if (response.status >= 300 && response.status < 400) {
          await response.body?.cancel();
          throw redirected();
        }
        const text = await readText(response, maxBytes);
        if (response.status >= 500) throw notWell(response.status);
        return { status: response.status, text, cookies: cookiePairs(response.headers) };
      } catch (error) {
        throw error instanceof ProbeError ? error : noAnswer(error);
      }
    });
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let length = 0;
  let text = "";
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    // Leaving the loop cancels the body.
    if (length > maxBytes) throw new ProbeError("wrong-kind", "its answer is far too long");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function cookiePairs(headers: Headers): string {
  return headers
    .getSetCookie()
    .map((cookie) => cookie.split(";", 1)[0])
    .join("; ");
}

function redirected(): ProbeError {
  return new ProbeError(
    "wrong-kind",
    "it redirects elsewhere, which is not followed: give the URL that it leads to",
  );
}

function notWell(status: number): ProbeError {
  const name = STATUS_CODES[status];
  return new ProbeError("unreachable", `it answers HTTP ${status}${name ? ` ${name}` : ""}`);
}

/** fetch says "fetch failed" and hides why in its cause. */
function noAnswer(error: unknown): ProbeError {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "no connection";
  if (/CERT|SIGNATURE/.test(code))
    return new ProbeError(
      "unreachable",
      `its certificate is not trusted here (${code}): name its CA in NODE_EXTRA_CA_CERTS`,
    );
  return new ProbeError("unreachable", `it does not answer (${code})`);
}
