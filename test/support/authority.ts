import { KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { systemClock } from "../../src/lib/clock.js";
import type { KeyedCertificate } from "../../src/pulse/certificates.js";
import { testAuthority } from "./certificates.js";

/** A certificate of a test, with what clients ask of it. */
export interface TestCertificate extends KeyedCertificate {
  /** SHA-256, as Node writes it. */
  readonly fingerprint: string;
}

/** An authority as clients of a test need it: PEM texts and fingerprints. */
export interface ClientsAuthority {
  readonly ca: string;
  readonly key: string;
  /** For a server with these names and addresses. */
  server(...names: string[]): Promise<TestCertificate>;
  client(): Promise<TestCertificate>;
  /** For a server on loopback, and over. */
  expired(): Promise<TestCertificate>;
}

export async function createTestAuthority(subject = "Pulse of a test"): Promise<ClientsAuthority> {
  const { certificate, keyed, server, client, serverUntil } = await testAuthority(subject);
  return {
    ca: certificate,
    key: keyed.key,
    server: async (...names) => withFingerprint(await server(names)),
    client: async () => withFingerprint(await client("haul")),
    expired: async () => withFingerprint(await serverUntil(-1)),
  };
}

/** A server's certificate that nobody but itself has signed, as `openssl req -x509` makes it. */
export async function selfSigned(address = "127.0.0.1"): Promise<TestCertificate> {
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
      extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: address }])],
    },
    webcrypto,
  );
  const key = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString();
  return withFingerprint({ certificate: certificate.toString("pem"), key });
}

function withFingerprint(keyed: KeyedCertificate): TestCertificate {
  return { ...keyed, fingerprint: new X509Certificate(keyed.certificate).fingerprint256 };
}
