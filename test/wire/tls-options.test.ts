import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { checkTlsOptions, normalFingerprint, type TlsOptions } from "../../src/wire/tls-options.js";
import {
  type ClientsAuthority,
  createTestAuthority,
  type TestCertificate,
} from "../support/authority.js";

let authority: ClientsAuthority;
let client: TestCertificate;
beforeAll(async () => {
  authority = await createTestAuthority();
  client = await authority.client();
});

describe("TLS options", () => {
  it("may be anything that fits together", () => {
    const { certificate: cert, key, fingerprint } = client;
    for (const options of [
      {},
      { ca: authority.ca },
      { ca: `# two of them\n${authority.ca}\n${cert}` },
      { cert, key },
      { ca: authority.ca, cert: `${cert}${authority.ca}`, key, fingerprint },
    ])
      expect(checkTlsOptions(options)).toBe(options);
  });

  const otherKey = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  }).privateKey;
  const sealedKey = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  }).privateKey;
  const broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  it.each<[RegExp, () => unknown]>([
    [/^tls must be an object/, () => "ca.crt"],
    [/^tls must be an object/, () => null],
    [/^tls\.ca holds no certificate/, () => ({ ca: "" })],
    [/^tls\.ca holds no certificate/, () => ({ ca: "/etc/pulse/ca.crt" })],
    [/^tls\.ca holds no certificate/, () => ({ ca: broken })],
    [/^tls\.ca holds no certificate/, () => ({ ca: `${authority.ca}${broken}` })],
    [/^tls\.ca holds no certificate/, () => ({ ca: authority.key })],
    [/^tls\.cert holds no certificate/, () => ({ cert: "", key: client.key })],
    [/^tls\.key holds no private key/, () => ({ cert: client.certificate, key: "secret" })],
    [
      /^tls\.key holds no private key.*passphrase/,
      () => ({ cert: client.certificate, key: sealedKey }),
    ],
    [/^tls\.key is not the key of tls\.cert/, () => ({ cert: client.certificate, key: otherKey })],
    [/^tls\.cert is given without tls\.key/, () => ({ cert: client.certificate })],
    [/^tls\.key is given without tls\.cert/, () => ({ key: client.key })],
    [/^tls\.fingerprint is not/, () => ({ fingerprint: "" })],
    [/^tls\.fingerprint is not/, () => ({ fingerprint: "AB:CD" })],
    [/^tls\.fingerprint is not/, () => ({ fingerprint: `${"ab".repeat(31)}xy` })],
  ])("are refused by name: %s", (message, options) => {
    const check = () => checkTlsOptions(options() as TlsOptions);
    expect(check).toThrow(TypeError);
    expect(check).toThrow(message);
    expect(check).not.toThrow(/BEGIN PRIVATE KEY-----\s*\w/); // nothing of a key
  });
});

it.each([
  (text: string) => text,
  (text: string) => text.toLowerCase(),
  (text: string) => text.replaceAll(":", ""),
  (text: string) => ` ${text.replaceAll(":", "").toLowerCase()}\n`,
])("a fingerprint may be written in any usual way", (write) => {
  expect(normalFingerprint(write(client.fingerprint))).toBe(client.fingerprint);
});
