import { createPrivateKey, KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import type { Clock } from "../lib/clock.js";
import type { Random } from "../lib/random.js";

/** A certificate and the private key that belongs to it, both as PEM. */
export interface KeyedCertificate {
  readonly certificate: string;
  /** PKCS#8. A secret. */
  readonly key: string;
}

export interface Issuing {
  readonly clock: Pick<Clock, "wallNow">;
  readonly random: Pick<Random, "bytes">;
}

export interface CertificateRequest {
  /** What the other side does with it: a server's says where it is, a client's who it is. */
  readonly use: "server" | "client";
  /** Who it is for; shown to people. Browsers and clients look at the names alone. */
  readonly subject: string;
  /** DNS names and IP addresses, an IPv6 address without brackets; a server needs one. */
  readonly names: readonly string[];
}

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3_650;
/** Apple's programs take none that is valid for longer. */
const LEAF_DAYS = 825;
/** Other hosts' clocks may be behind ours. */
const BEFORE_MS = 60 * 60_000;
const SERIAL_BYTES = 16;
/** The longest that X.509 has room for. */
const MAX_SUBJECT_LENGTH = 64;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate authority of one's own: valid for 10 years, and able to sign leaves alone. */
export async function createAuthority(
  subject: string,
  { clock, random }: Issuing,
): Promise<KeyedCertificate> {
  const x509 = await loadX509();
  const keys = await makeKeys();
  const now = clock.wallNow();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(random),
      name: subjectOf(subject),
      keys,
      ...validity(now, now + AUTHORITY_DAYS * DAY_MS),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  );
  return { certificate: pemOf(certificate), key: keyPem(keys) };
}

/**
 * A certificate from `authority`, with a key of its own: valid for 825 days, and not
 * longer than the authority is.
 * @throws Error if the authority is over, or its key is not its own
 */
export async function issueCertificate(
  authority: KeyedCertificate,
  { use, subject, names }: CertificateRequest,
  { clock, random }: Issuing,
): Promise<KeyedCertificate> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(authority.certificate);
  const now = clock.wallNow();
  const issuerEndAt = issuer.notAfter.getTime();
  if (issuerEndAt <= now)
    throw new Error(`the certificate authority ended on ${issuer.notAfter.toISOString()}`);
  const keys = await makeKeys();
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(random),
      subject: subjectOf(subject),
      issuer: issuer.subjectName,
      publicKey: keys.publicKey,
      signingKey: await readKey(authority.key),
      ...validity(now, Math.min(now + LEAF_DAYS * DAY_MS - BEFORE_MS, issuerEndAt)),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([use === "server" ? serverAuth : clientAuth]),
        ...(names.length > 0
          ? [new x509.SubjectAlternativeNameExtension(names.map(alternativeName))]
          : []),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ],
    },
    webcrypto,
  );
  const pem = pemOf(certificate);
  if (!new X509Certificate(pem).verify(new X509Certificate(authority.certificate).publicKey))
    throw new Error("the authority's key does not belong to its certificate");
  return { certificate: pem, key: keyPem(keys) };
}

/** Only who makes certificates pays for it. */
async function loadX509() {
  await import("reflect-metadata"); // first: the other looks for it while it loads
  return import("@peculiar/x509");
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function readKey(pem: string): Promise<webcrypto.CryptoKey> {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new Error("the authority's key is none of P-256, as Pulse makes them");
  const der = key.export({ type: "pkcs8", format: "der" });
  return webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]);
}

function keyPem({ privateKey }: webcrypto.CryptoKeyPair): string {
  return KeyObject.from(privateKey).export({ type: "pkcs8", format: "pem" }).toString();
}

function pemOf(certificate: { toString(format: "pem"): string }): string {
  return `${certificate.toString("pem").trim()}\n`;
}

/** Positive, and without a zero in front, so that everybody writes it in the same way. */
function serialNumber(random: Issuing["random"]): string {
  const bytes = Buffer.from(random.bytes(SERIAL_BYTES));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

function subjectOf(name: string) {
  return [{ CN: [[...name].slice(0, MAX_SUBJECT_LENGTH).join("")] }];
}

function validity(fromMs: number, endMs: number) {
  return { notBefore: new Date(fromMs - BEFORE_MS), notAfter: new Date(endMs) };
}

function alternativeName(name: string) {
  if (isIP(name) !== 0) return { type: "ip", value: name } as const;
  const value = domainToASCII(name); // as it stands on the wire
  if (!/^[\w*.-]+$/.test(value)) throw new Error(`${name} is no DNS name or IP address`);
  return { type: "dns", value } as const;
}
