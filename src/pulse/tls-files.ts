import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { Clock } from "../lib/clock.js";
import { type FileLooks, lookAt } from "../lib/file-watch.js";
import { oneLine } from "../lib/one-line.js";
import type { TlsCredentials } from "../wire/server.js";
import { StartError } from "./start-error.js";

/** Where Pulse finds what it needs for TLS; all PEM. */
export interface TlsFiles {
  /** Its certificate, then those between it and its authority, if there are any. */
  readonly certificate: string;
  readonly key: string;
  /** Authorities whose certificates a client must have one of; left out, a client needs none. */
  readonly clientAuthority?: string;
}

/** What the files hold, checked. */
export interface LoadedTls {
  readonly credentials: TlsCredentials;
  /** What may be logged of it. */
  readonly about: CertificateInfo;
  /** How the files looked just before they were read. */
  readonly looks: FileLooks;
}

export interface CertificateInfo {
  /** DNS names and IP addresses by which clients may call. */
  readonly names: readonly string[];
  readonly notBeforeAt: number;
  readonly notAfterAt: number;
  /** SHA-256 of the certificate, in pairs of hex digits with colons between. */
  readonly fingerprint: string;
}

const MAX_SUBJECT = 200;
/** Server authentication, and any use. */
const SERVER_USES = ["1.3.6.1.5.5.7.3.1", "2.5.29.37.0"];

/**
 * Reads the files and checks that clients can take what is in them.
 * @throws StartError: one sentence that names the file and says what to do
 */
export async function readTls(files: TlsFiles, clock: Clock): Promise<LoadedTls> {
  const looks = await lookAtTls(files);
  const [certificate, key, clientAuthority] = await Promise.all([
    readPem("certificate", files.certificate),
    readPem("key", files.key),
    files.clientAuthority === undefined
      ? undefined
      : readPem("authority of clients", files.clientAuthority),
  ]);
  const leaf = parseCertificate(files.certificate, certificate);
  checkServerCertificate(files, leaf, clock.wallNow());
  if (!leaf.checkPrivateKey(parseKey(files.key, key)))
    throw new StartError(
      `the key ${files.key} does not belong to the certificate ${files.certificate}: give the two that were made together`,
    );
  const credentials = {
    certificate,
    key,
    ...(clientAuthority === undefined ? {} : { clientAuthority }),
  };
  if (files.clientAuthority !== undefined)
    checkAuthorities(files.clientAuthority, clientAuthority ?? "", clock.wallNow());
  try {
    createSecureContext({ cert: certificate, key, ca: clientAuthority });
  } catch (error) {
    const { code = "unknown" } = error as NodeJS.ErrnoException;
    throw new StartError(
      `OpenSSL cannot use ${files.certificate} with ${files.key} (${code}): make new ones, for example with \`pulse tls init\``,
      { cause: error },
    );
  }
  return { credentials, about: certificateInfo(leaf), looks };
}

/** How the files look now. */
export function lookAtTls({ certificate, key, clientAuthority }: TlsFiles): Promise<FileLooks> {
  return lookAt([certificate, key, ...(clientAuthority === undefined ? [] : [clientAuthority])]);
}

/** What is to be known of a certificate, which is no secret. */
export function certificateInfo(certificate: X509Certificate): CertificateInfo {
  return {
    names: namesOf(certificate),
    notBeforeAt: Date.parse(certificate.validFrom),
    notAfterAt: Date.parse(certificate.validTo),
    fingerprint: certificate.fingerprint256,
  };
}

async function readPem(what: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(
      code === "ENOENT"
        ? `there is no ${what} ${path}: check the path, or make one with \`pulse tls init\``
        : `the ${what} ${path} cannot be read (${code}): let the user of Pulse read it`,
      { cause: error },
    );
  }
}

function parseCertificate(path: string, pem: string): X509Certificate {
  try {
    if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new Error("no PEM");
    return new X509Certificate(pem);
  } catch (error) {
    throw new StartError(`${path} holds no whole certificate in PEM: give one that does`, {
      cause: error,
    });
  }
}

function parseKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const isLocked = /^-----BEGIN ENCRYPTED|^Proc-Type: .*ENCRYPTED/m.test(pem);
    throw new StartError(
      isLocked
        ? `the key ${path} has a passphrase, which nobody is there to type: give one without, in a file of mode 0600`
        : `${path} holds no whole private key in PEM: give one that does`,
      { cause: error },
    );
  }
}

function checkServerCertificate(
  { certificate: path }: TlsFiles,
  leaf: X509Certificate,
  nowMs: number,
): void {
  if (namesOf(leaf).length === 0)
    throw new StartError(
      `the certificate ${path} names no host (no subjectAltName), and no client would take it: make one with \`pulse tls init --name HOST\``,
    );
  if (leaf.keyUsage && !leaf.keyUsage.some((use) => SERVER_USES.includes(use)))
    throw new StartError(
      `the certificate ${path} is none for a server (extendedKeyUsage): give one that was issued for servers`,
    );
  if (Date.parse(leaf.validTo) <= nowMs)
    throw new StartError(
      `the certificate ${path} ended on ${isoOf(leaf)}: renew it, one of Pulse's own with \`pulse tls init\``,
    );
}

function checkAuthorities(path: string, pem: string, nowMs: number): void {
  const pems = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [""];
  const authorities = pems.map((each) => parseCertificate(path, each));
  const other = authorities.find(({ ca }) => !ca);
  if (other)
    throw new StartError(
      `${path} holds a certificate that is no authority's (${oneLine(other.subject, MAX_SUBJECT)}): give those of the authorities that issue to clients`,
    );
  const valid = authorities.some(({ validTo }) => Date.parse(validTo) > nowMs);
  if (!valid)
    throw new StartError(
      `the authority of clients ${path} has ended, and no client could connect: give one that is valid`,
    );
}

/** `DNS:a, IP Address:::1` as names; Node quotes those with odd letters. */
function namesOf({ subjectAltName }: X509Certificate): string[] {
  const names = subjectAltName?.matchAll(/(?:^|, )(?:DNS|IP Address):("(?:[^"\\]|\\.)*"|[^,]*)/g);
  return [...(names ?? [])].map(([, name = ""]) => compressed(name));
}

/** Node writes IPv6 addresses of certificates with all their zeros. */
function compressed(name: string): string {
  return name.includes(":") && URL.canParse(`http://[${name}]`)
    ? new URL(`http://[${name}]`).hostname.slice(1, -1)
    : name;
}

function isoOf({ validTo }: X509Certificate): string {
  return new Date(Date.parse(validTo)).toISOString();
}
