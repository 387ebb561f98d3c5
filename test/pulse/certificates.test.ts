import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type ConnectionOptions, connect, createServer } from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import {
  createAuthority,
  issueCertificate,
  type KeyedCertificate,
} from "../../src/pulse/certificates.js";
import { seededRandom } from "../support/seeded-random.js";

const DAY_MS = 86_400_000;
const issuing = { clock: systemClock, random: seededRandom() };
const NAMES = ["pulse.lan", "localhost", "192.168.1.5", "::1"];

let authority: KeyedCertificate;
let server: KeyedCertificate;
let client: KeyedCertificate;

beforeAll(async () => {
  authority = await createAuthority("Pulse on attic", issuing);
  server = await issueCertificate(
    authority,
    { use: "server", subject: "pulse.lan", names: NAMES },
    issuing,
  );
  client = await issueCertificate(
    authority,
    { use: "client", subject: "haul on attic", names: [] },
    issuing,
  );
});

const parse = ({ certificate }: KeyedCertificate) => new X509Certificate(certificate);

describe("an authority", () => {
  it("signs itself, says that it is one, and fits its key", () => {
    const certificate = parse(authority);
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe("CN=Pulse on attic");
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(keyOf(authority))).toBe(true);
  });

  it("is valid for 10 years, and a little before now for clocks that are behind", () => {
    const { validFrom, validTo } = parse(authority);
    expect(Date.parse(validFrom)).toBeLessThan(Date.now() - 30 * 60_000);
    expect(Math.round((Date.parse(validTo) - Date.now()) / DAY_MS)).toBe(3_650);
  });

  it("has room for a name of any length in any script", async () => {
    const long = await createAuthority("ü".repeat(100), issuing);
    expect(parse(long).subject).toContain("CN=");
  });
});

describe("a server's certificate", () => {
  it("is the authority's, for the names that were given and no other", () => {
    const certificate = parse(server);
    expect(certificate.checkIssued(parse(authority))).toBe(true);
    expect(certificate.verify(parse(authority).publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.checkHost("pulse.lan")).toBe("pulse.lan");
    expect(certificate.checkHost("other.lan")).toBeUndefined();
    expect(certificate.checkIP("192.168.1.5")).toBe("192.168.1.5");
    expect(certificate.checkIP("::1")).toBeDefined();
    expect(certificate.checkIP("192.168.1.6")).toBeUndefined();
  });

  it("is valid for less than 825 days, has a serial number of its own and may serve alone", () => {
    const { validFrom, validTo, serialNumber, keyUsage } = parse(server);
    const days = (Date.parse(validTo) - Date.parse(validFrom)) / DAY_MS;
    expect(days).toBeGreaterThan(820);
    expect(days).toBeLessThanOrEqual(825);
    expect(serialNumber).not.toBe(parse(client).serialNumber);
    expect(keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  it("takes names as people write them, and refuses what is none", async () => {
    const issue = (names: string[]) =>
      issueCertificate(authority, { use: "server", subject: "x", names }, issuing);
    const certificate = parse(await issue(["Bücher.LAN", "*.home.arpa", "fe80::1"]));
    expect(certificate.checkHost("xn--bcher-kva.lan")).toBeDefined();
    expect(certificate.checkHost("a.home.arpa")).toBeDefined();
    expect(certificate.checkIP("fe80::1")).toBeDefined();
    await expect(issue(["a b"])).rejects.toThrow("a b is no DNS name or IP address");
  });

  it("does not outlive its authority, and is not made once that is over", async () => {
    const at = (days: number) => ({
      ...issuing,
      clock: { wallNow: () => Date.now() + days * DAY_MS },
    });
    const request = { use: "server", subject: "x", names: ["x"] } as const;
    const late = parse(await issueCertificate(authority, request, at(3_600)));
    expect(late.validTo).toBe(parse(authority).validTo);
    await expect(issueCertificate(authority, request, at(3_651))).rejects.toThrow("ended on");
  });

  it("is not made with the key of another authority", async () => {
    const other = await createAuthority("other", issuing);
    await expect(
      issueCertificate(
        { ...authority, key: other.key },
        { use: "client", subject: "x", names: [] },
        issuing,
      ),
    ).rejects.toThrow("does not belong");
  });
});

describe("in a real handshake", () => {
  it("both sides know each other by the authority", async () => {
    expect(await shakeHands({ ca: authority.certificate, ...pair(client) })).toBe(
      "CN=haul on attic",
    );
  });

  it("a client without the authority refuses, one of another authority is refused", async () => {
    const other = await createAuthority("Pulse on attic", issuing);
    await expect(shakeHands({ ca: other.certificate, ...pair(client) })).rejects.toThrow();
    const foreign = await issueCertificate(
      other,
      { use: "client", subject: "x", names: [] },
      issuing,
    );
    await expect(shakeHands({ ca: authority.certificate, ...pair(foreign) })).rejects.toThrow();
  });

  it("a server's certificate is none for a client", async () => {
    await expect(shakeHands({ ca: authority.certificate, ...pair(server) })).rejects.toThrow();
  });
});

function pair({ certificate, key }: KeyedCertificate) {
  return { cert: certificate, key };
}

function keyOf({ key }: KeyedCertificate) {
  return createPrivateKey(key);
}

/** Connects to a server that asks for a client's certificate, and gives the subject that it saw. */
async function shakeHands(options: ConnectionOptions): Promise<string> {
  const listening = createServer({
    ...pair(server),
    ca: authority.certificate,
    requestCert: true,
    rejectUnauthorized: true,
  });
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  const { port } = listening.address() as AddressInfo;
  listening.on("secureConnection", (socket) => {
    socket.end(new X509Certificate(socket.getPeerCertificate().raw).subject);
  });
  try {
    const socket = connect({ ...options, host: "127.0.0.1", port, servername: "pulse.lan" });
    let text = "";
    for await (const chunk of socket) text += chunk;
    if (text === "") throw new Error("the server closed without a word");
    return text;
  } finally {
    listening.close();
  }
}
