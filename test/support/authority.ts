import { KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.js";
import { systemRandom } from "../../src/lib/random.js";
import {
  createAuthority,
  type Issuing,
  issueCertificate,
  type KeyedCertificate,
} from "../../src/pulse/certificates.js";

const ISSUING: Issuing = { clock: systemClock, random: systemRandom };
/** Longer than a leaf is valid. */
const LONG_AGO_MS = 1_000 * 86_400_000;
const LONG_AGO: Issuing = {
  clock: { wallNow: () => systemClock.wallNow() - LONG_AGO_MS },
  random: systemRandom,
};

/** A certificate of a test, with what tests ask of it. */
export interface TestCertificate extends KeyedCertificate {
  /** SHA-256, as Node writes it. */
  readonly fingerprint: string;
}

/** An authority of a test, and what it signs. */
export interface TestAuthority {
  /** PEM of its own certificate. */
  readonly ca: string;
  readonly key: string;
  /** For a server with these names and addresses. */
  server(...names: string[]): Promise<TestCertificate>;
  client(subject?: string): Promise<TestCertificate>;
  /** For a server with these names, and over. */
  expired(...names: string[]): Promise<TestCertificate>;
}

export async function createTestAuthority(subject = "Pulse of a test"): Promise<TestAuthority> {
  const authority = await createAuthority(subject, ISSUING);
  const issue = async (use: "server" | "client", name: string, names: string[], how = ISSUING) =>
    withFingerprint(await issueCertificate(authority, { use, subject: name, names }, how));
  return {
    ca: authority.certificate,
    key: authority.key,
    server: (...names) => issue("server", "pulse", names),
    client: (name = "haul") => issue("client", name, []),
    expired: (...names) => issue("server", "pulse", names, LONG_AGO),
  };
}

/** A server's certificate that nobody but itself has signed, as `openssl req -x509` makes it. */
export async function selfSigned(name = "127.0.0.1"): Promise<TestCertificate> {
  await import("reflect-metadata");
  const { X509CertificateGenerator, SubjectAlternativeNameExtension } = await import(
    "@peculiar/x509"
  );
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const now = systemClock.wallNow();
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: "CN=self-signed",
      keys,
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + 3_600_000),
      signingAlgorithm: algorithm,
      extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: name }])],
    },
    webcrypto,
  );
  const key = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString();
  return withFingerprint({ certificate: certificate.toString("pem"), key });
}

/** Writes texts into files of a new directory, for the programs. */
export async function writeFiles<Name extends string>(
  texts: Readonly<Record<Name, string>>,
): Promise<{ paths: Record<Name, string>; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "pulse-tls-"));
  const paths = {} as Record<Name, string>;
  for (const [name, text] of Object.entries(texts) as [Name, string][]) {
    paths[name] = join(directory, name);
    await writeFile(paths[name], text, { mode: 0o600 });
  }
  return { paths, remove: () => rm(directory, { recursive: true, force: true }) };
}

function withFingerprint(keyed: KeyedCertificate): TestCertificate {
  return { ...keyed, fingerprint: new X509Certificate(keyed.certificate).fingerprint256 };
}
