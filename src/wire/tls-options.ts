import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

/** How a server's certificate is checked, and which one is shown to it. */
export interface TlsOptions {
  /**
   * PEM text of one or more certificates: only what they have signed is trusted. Left out,
   * and without `fingerprint`: what Node trusts by itself.
   */
  readonly ca?: string;
  /** PEM text of the certificate to show to a server that wants one, its intermediates after it; needs `key`. */
  readonly cert?: string;
  /** PEM text of the private key of `cert`, without a passphrase. */
  readonly key?: string;
  /**
   * SHA-256 fingerprint of the server's own certificate, with or without colons, in any
   * case. Without `ca` it alone decides, so that a self-signed certificate will do; with
   * `ca` both must hold.
   */
  readonly fingerprint?: string;
}

/** TLS options, or what gives them: a function is asked before each connection, so renewed files are taken. */
export type TlsSource = TlsOptions | (() => TlsOptions | Promise<TlsOptions>);

/** @throws TypeError that names the option and says what to do; it repeats nothing of a key. */
export function checkTlsOptions(options: TlsOptions): TlsOptions {
  if (typeof options !== "object" || options === null)
    throw new TypeError("tls must be an object with ca, cert, key or fingerprint, or a function");
  const { ca, cert, key, fingerprint } = options;
  if (ca !== undefined) checkCertificates(ca, "tls.ca");
  if (cert !== undefined) checkCertificates(cert, "tls.cert");
  if (key !== undefined) checkKey(key);
  if ((cert === undefined) !== (key === undefined))
    throw new TypeError(
      cert === undefined
        ? "tls.key is given without tls.cert: give the certificate that belongs to the key"
        : "tls.cert is given without tls.key: give the private key that belongs to the certificate",
    );
  if (cert !== undefined && key !== undefined) checkPair(cert, key);
  if (fingerprint !== undefined) normalFingerprint(fingerprint);
  return options;
}

/** The options as they are now. @throws Error that says what is wrong */
export async function currentTlsOptions(source: TlsSource): Promise<TlsOptions> {
  return typeof source === "function" ? checkTlsOptions(await source()) : source;
}

/**
 * A fingerprint as Node writes it: 32 bytes in upper-case hex, with colons between.
 * @throws TypeError if it is none
 */
export function normalFingerprint(fingerprint: string): string {
  const digits = typeof fingerprint === "string" ? fingerprint.trim().replaceAll(":", "") : "";
  if (!/^[0-9a-f]{64}$/i.test(digits))
    throw new TypeError(
      "tls.fingerprint is not a SHA-256 fingerprint: give its 64 hex digits, with or without colons, as `openssl x509 -noout -fingerprint -sha256` prints them",
    );
  return (digits.toUpperCase().match(/../g) ?? []).join(":");
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** Node skips what it cannot read in a list of CAs, and then trusts nobody without saying why. */
function checkCertificates(pem: string, option: string): void {
  const blocks = typeof pem === "string" ? (pem.match(CERTIFICATE) ?? []) : [];
  if (blocks.length === 0 || !blocks.every(isCertificate))
    throw new TypeError(
      `${option} holds no certificate that can be read: give the text of a PEM file, which has BEGIN CERTIFICATE and END CERTIFICATE`,
    );
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function checkKey(pem: string): void {
  try {
    if (typeof pem === "string") createPrivateKey(pem);
    else throw new TypeError("no text");
  } catch {
    throw new TypeError(
      "tls.key holds no private key that can be read: give the text of a PEM file, which has BEGIN PRIVATE KEY, without a passphrase",
    );
  }
}

function checkPair(cert: string, key: string): void {
  try {
    createSecureContext({ cert, key });
  } catch {
    throw new TypeError(
      "tls.key is not the key of tls.cert: give the private key that this certificate was made for",
    );
  }
}
