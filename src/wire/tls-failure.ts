/** How what is told begins where a server was reached, and its certificate or ours is not good enough. */
export const TLS_FAILED = "TLS failed: ";

/** What `tls.connect` fails with. */
type TlsError = Error & {
  readonly code?: string;
  /** Of a certificate with other names. */
  readonly cert?: { readonly subjectaltname?: string };
};

/** Nobody who is trusted has signed it; the codes are OpenSSL's. */
const UNKNOWN_SIGNER = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "INVALID_CA",
]);

/** Bytes that are no TLS, whatever OpenSSL takes them for. */
const NO_TLS = new Set([
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_UNEXPECTED_MESSAGE",
  "ERR_SSL_HTTP_REQUEST",
]);

/**
 * Why a handshake failed, in a sentence that says what to do.
 * @param where host and port as they were given
 */
export function tlsFailure(error: TlsError, where: string): Error {
  return new Error(`${TLS_FAILED}${sentence(error, where)}`, { cause: error });
}

function sentence({ code = "", message, cert }: TlsError, where: string): string {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `the certificate of ${where} is for ${namesOf(cert?.subjectaltname)}: use one of these as Pulse's address, or give Pulse a certificate for this one`;
  if (UNKNOWN_SIGNER.has(code))
    return `nobody who is trusted here has signed the certificate of ${where}: give the certificate of its authority (ca), or its own fingerprint (fingerprint)`;
  if (code === "INVALID_PURPOSE")
    return `the certificate of ${where} is none for a server: give Pulse one that is, or pin it (fingerprint)`;
  if (code === "CERT_HAS_EXPIRED")
    return `the certificate of ${where}, or of its authority, has expired: renew it there, or set this host's clock right`;
  if (code === "CERT_NOT_YET_VALID")
    return `the certificate of ${where}, or of its authority, is not valid yet: set the clock right here or there`;
  if (NO_TLS.has(code))
    return `${where} does not speak TLS: turn it on in Pulse, or give the address as http:// if plain text is meant`;
  if (code === "ECONNRESET" || code === "EPIPE")
    return `${where} ended the connection during the handshake: see its log; it may not speak TLS, or want a client certificate (cert and key)`;
  return alertSentence(message) ?? message.replace(/\s+/g, " ").trim();
}

/** The other side has said why it ends the connection; in TLS 1.3 that comes after the handshake. */
export function alertSentence(text: string): string | undefined {
  const alert = /alert ((?:[a-z]+ ?)+)/.exec(text)?.[1]?.trim();
  if (alert === undefined) return undefined;
  if (alert === "certificate required")
    return "Pulse wants a client certificate: give one that its client CA has signed (cert and key)";
  if (/certificate|unknown ca|access denied/.test(alert))
    return `Pulse does not accept the client certificate (${alert}): give one that its client CA has signed and that is valid (cert and key)`;
  return `the server refuses the handshake (alert ${alert}): see its log`;
}

/** A certificate that is not the pinned one. Its fingerprint is no secret. */
export function pinFailure(where: string, seen: string): Error {
  return new Error(
    `${TLS_FAILED}the certificate of ${where} is not the pinned one, its SHA-256 fingerprint is ${seen}: pin this one if it is that of Pulse's renewed certificate, else somebody else answers there`,
  );
}

function namesOf(altNames: string | undefined): string {
  const names = altNames?.split(", ").map((name) => name.replace(/^(DNS|IP Address|URI):/, ""));
  return names?.length ? `other names (${names.join(", ")})` : "no name";
}
