import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import { issueCertificate, type KeyedCertificate } from "../../src/pulse/certificates.js";
import { StartError } from "../../src/pulse/index.js";
import { readTls, type TlsFiles } from "../../src/pulse/tls-files.js";
import { type TestAuthority, testAuthority } from "../support/certificates.js";
import { seededRandom } from "../support/seeded-random.js";

let authority: TestAuthority;
let server: KeyedCertificate;
beforeAll(async () => {
  authority = await testAuthority();
  server = await authority.server(["pulse.home", "192.168.1.5", "::1"]);
});

let files: Required<TlsFiles>;
beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), "pulse-tls-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  files = {
    certificate: join(directory, "server.crt"),
    key: join(directory, "server.key"),
    clientAuthority: join(directory, "ca.crt"),
  };
  await writeFile(files.certificate, server.certificate);
  await writeFile(files.key, server.key);
  await writeFile(files.clientAuthority, authority.certificate);
});

/** Why the files cannot be used: one sentence for the operator, without anything of a key. */
async function refusal(of: TlsFiles = files): Promise<string> {
  const error = await readTls(of, systemClock).then(
    () => expect.unreachable("they were taken"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartError);
  const { message } = error as StartError;
  expect(message).not.toMatch(/\n|^Error|BEGIN|PRIVATE/);
  return message;
}

it("files that fit are taken, with what may be told of them", async () => {
  const { credentials, about } = await readTls(files, systemClock);
  expect(credentials).toEqual({ ...server, clientAuthority: authority.certificate });
  expect(about.names).toEqual(["pulse.home", "192.168.1.5", "::1"]);
  expect(about.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  expect(about.notAfterAt).toBeGreaterThan(Date.now());
});

it("a certificate may be followed by its authority's, and clients' authorities be several", async () => {
  await writeFile(files.certificate, server.certificate + authority.certificate);
  const second = await testAuthority("another");
  await writeFile(files.clientAuthority, authority.certificate + second.certificate);
  expect((await readTls(files, systemClock)).about.names).toContain("pulse.home");
});

describe("refuses, and names the file:", () => {
  it.each(["certificate", "key", "clientAuthority"] as const)("a missing %s", async (which) => {
    await rm(files[which]);
    expect(await refusal()).toMatch(
      /^there is no .*: check the path, or make one with `pulse tls init`$/,
    );
    expect(await refusal()).toContain(files[which]);
  });

  it("what cannot be read", async () => {
    const directory = { ...files, key: tmpdir() };
    expect(await refusal(directory)).toMatch(/^the key .* cannot be read \(EISDIR\): let the user/);
  });

  it.each([0, 100, 400])("a certificate of which %i bytes are written", async (length) => {
    await writeFile(files.certificate, server.certificate.slice(0, length));
    expect(await refusal()).toBe(
      `${files.certificate} holds no whole certificate in PEM: give one that does`,
    );
  });

  it.each([0, 100])("a key of which %i bytes are written", async (length) => {
    await writeFile(files.key, server.key.slice(0, length));
    expect(await refusal()).toBe(
      `${files.key} holds no whole private key in PEM: give one that does`,
    );
  });

  it("a key with a passphrase", async () => {
    const { privateKey } = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
    });
    await writeFile(files.key, privateKey);
    expect(await refusal()).toMatch(/has a passphrase.*: give one without/);
  });

  it("a key of another certificate", async () => {
    await writeFile(files.key, (await authority.server()).key);
    expect(await refusal()).toBe(
      `the key ${files.key} does not belong to the certificate ${files.certificate}: give the two that were made together`,
    );
  });

  it("a certificate that has ended", async () => {
    await use(await authority.serverUntil(-1));
    expect(await refusal()).toMatch(/server\.crt ended on 20.*Z: renew it, .*`pulse tls init`$/);
  });

  it("a certificate that names no host", async () => {
    await use(authority.keyed);
    expect(await refusal()).toMatch(
      /server\.crt names no host \(no subjectAltName\).*--name HOST`$/,
    );
  });

  it("a client's certificate", async () => {
    const issuing = { clock: systemClock, random: seededRandom() };
    const request = { use: "client", subject: "haul", names: ["haul"] } as const;
    await use(await issueCertificate(authority.keyed, request, issuing));
    expect(await refusal()).toMatch(/server\.crt is none for a server \(extendedKeyUsage\): give/);
  });

  it("clients' authorities that are none, or have ended", async () => {
    await writeFile(files.clientAuthority, authority.certificate + server.certificate);
    expect(await refusal()).toMatch(
      /ca\.crt holds a certificate that is no authority's \(CN=pulse\.home\)/,
    );
    await writeFile(files.clientAuthority, "nothing");
    expect(await refusal()).toMatch(/ca\.crt holds no whole certificate/);
  });
});

async function use({ certificate, key }: KeyedCertificate): Promise<void> {
  await writeFile(files.certificate, certificate);
  await writeFile(files.key, key);
}
