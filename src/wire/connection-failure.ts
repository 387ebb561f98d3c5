import { alertSentence, TLS_FAILED } from "./tls-failure.js";

/** How the message begins of the error of a call that never left. */
export const NO_CONNECTION = "no connection: ";

/** What a server does to a connection in whose language it does not speak. */
const NO_HTTP2 = /^(Failed to connect|Protocol error|read ECONNRESET|write EPIPE)$/;

/** What to do about a server that ended a connection before it said anything in HTTP/2. */
const ENDED_EARLY = {
  http: "the server ended the connection without a word of HTTP/2: if it speaks TLS, give its address as https://",
  https: `${TLS_FAILED}the server ended the connection after the handshake: it may want another client certificate (cert and key), or not speak HTTP/2`,
} as const;

/**
 * Why there is no connection, in a sentence: grpc-js wraps it into words for its own
 * developers. Other details stay as they are.
 */
export function connectionFailure(details: string, scheme: "http" | "https"): string {
  const match = /Last error: (?:Error: )?(.*?)\.? Resolution note:/s.exec(details);
  if (!match?.[1]) return details;
  const reason = match[1].replace(/\s*\(\d{4}-[\dT:.-]+Z\)$/, "").trim();
  if (reason.startsWith(TLS_FAILED)) return `${NO_CONNECTION}${reason}`;
  if (NO_HTTP2.test(reason)) return `${NO_CONNECTION}${ENDED_EARLY[scheme]}`;
  const alert = scheme === "https" ? alertSentence(reason) : undefined;
  return `${NO_CONNECTION}${alert === undefined ? reason : `${TLS_FAILED}${alert}`}`;
}
