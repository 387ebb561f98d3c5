import { systemClock } from "../../src/lib/clock.js";
import { systemRandom } from "../../src/lib/random.js";
import {
  type CertificateRequest,
  createAuthority,
  issueCertificate,
  type KeyedCertificate,
} from "../../src/pulse/certificates.js";

const DAY_MS = 86_400_000;
const LEAF_DAYS = 825;

/** Names by which the tests' servers are called. */
export const SERVER_NAMES = ["localhost", "127.0.0.1", "::1"];

/** An authority of a test, and what it issues. */
export interface TestAuthority {
  /** PEM. */
  readonly certificate: string;
  readonly keyed: KeyedCertificate;
  /** For SERVER_NAMES unless told otherwise. */
  server(names?: readonly string[]): Promise<KeyedCertificate>;
  /** One that ends in so many days, or has ended so many days ago. */
  serverUntil(days: number): Promise<KeyedCertificate>;
  client(subject: string): Promise<KeyedCertificate>;
}

export async function testAuthority(name = "a test"): Promise<TestAuthority> {
  const at = (days: number) => ({
    clock: { wallNow: () => systemClock.wallNow() + days * DAY_MS },
    random: systemRandom,
  });
  const keyed = await createAuthority(name, at(-1_000));
  const issue = (request: CertificateRequest, days = 0) =>
    issueCertificate(keyed, request, at(days));
  const forServer = (names = SERVER_NAMES) =>
    ({ use: "server", subject: names[0] ?? "nobody", names }) as const;
  return {
    certificate: keyed.certificate,
    keyed,
    server: (names) => issue(forServer(names as string[])),
    serverUntil: (days) => issue(forServer(), days - LEAF_DAYS),
    client: (subject) => issue({ use: "client", subject, names: [] }),
  };
}
