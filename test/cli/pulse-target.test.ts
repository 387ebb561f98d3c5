import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CommandError, UsageError } from "../../src/cli/failure.js";
import { findTarget, type PulseTarget, type TargetOptions } from "../../src/cli/pulse-target.js";
import {
  type ClientsAuthority,
  createTestAuthority,
  type TestCertificate,
} from "../support/authority.js";

let directory: string;
let dataDirectory: string;
let authority: ClientsAuthority;
let client: TestCertificate;
const file = (name: string) => join(directory, name);

beforeAll(async () => {
  authority = await createTestAuthority();
  client = await authority.client();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-target-"));
  dataDirectory = join(directory, "data");
  await writeFile(file("ca.crt"), authority.ca);
  await writeFile(file("client.crt"), client.certificate);
  await writeFile(file("client.key"), client.key);
  return () => rm(directory, { recursive: true });
});

const target = (given: Partial<TargetOptions>) =>
  findTarget({ pulse: undefined, insecure: false, dataDirectory, ...given });
const tlsOf = async ({ tls }: PulseTarget) => (typeof tls === "function" ? await tls() : tls);

async function pulseHasTls(ca = authority.ca): Promise<void> {
  await mkdir(join(dataDirectory, "tls"), { recursive: true });
  await writeFile(join(dataDirectory, "tls", "ca.crt"), ca);
}

describe("where Pulse is, if nobody says it", () => {
  it("is this host, in plain text, if it has no authority there", async () => {
    expect(await target({})).toEqual({ url: "http://127.0.0.1:9696", insecure: false });
  });

  it("is this host with TLS, if it has", async () => {
    await pulseHasTls();
    const found = await target({});
    expect(found.url).toBe("https://127.0.0.1:9696");
    expect(await tlsOf(found)).toEqual({ ca: authority.ca });
  });

  it("is this host with TLS, if that is meant", async () => {
    const { fingerprint } = client;
    const found = await target({ fingerprint });
    expect(found.url).toBe("https://127.0.0.1:9696");
    expect(await tlsOf(found)).toEqual({ fingerprint });
  });
});

describe("Pulse's own authority", () => {
  beforeEach(() => pulseHasTls());

  it.each([
    "https://127.0.0.1:1",
    "https://localhost:1",
    `https://${hostname()}:1`,
    "https://[::1]:1",
  ])("is trusted at %s", async (pulse) => {
    expect(await tlsOf(await target({ pulse }))).toEqual({ ca: authority.ca });
  });

  it("is taken anew for each connection", async () => {
    const { tls } = await target({ pulse: "https://127.0.0.1:1" });
    const next = await createTestAuthority();
    await pulseHasTls(next.ca);
    expect(await tlsOf({ url: "", ...(tls && { tls }) })).toEqual({ ca: next.ca });
  });

  it.each(["https://pulse.example:1", "https://192.0.2.1", "https://127.0.0.1,https://192.0.2.1"])(
    "is not for %s",
    async (pulse) => {
      expect(await tlsOf(await target({ pulse }))).toEqual({});
    },
  );

  it("gives way to what was given", async () => {
    const other = await createTestAuthority("other");
    await writeFile(file("ca.crt"), other.ca);
    const pulse = "https://127.0.0.1:1";
    expect(await tlsOf(await target({ pulse, ca: file("ca.crt") }))).toEqual({ ca: other.ca });
    const { fingerprint } = client;
    expect(await tlsOf(await target({ pulse, fingerprint }))).toEqual({ fingerprint });
  });

  it("does not turn plain text that was asked for into TLS", async () => {
    const pulse = "http://127.0.0.1:1";
    expect(await target({ pulse })).toEqual({ url: pulse, insecure: false });
  });
});

it("files are read, and named where they are wrong", async () => {
  const pulse = "https://pulse.example";
  const given = { pulse, ca: file("ca.crt"), cert: file("client.crt"), key: file("client.key") };
  const { certificate: cert, key } = client;
  expect(await tlsOf(await target(given))).toEqual({ ca: authority.ca, cert, key });
  const refused: [Partial<TargetOptions>, typeof CommandError | typeof UsageError, string][] = [
    [{ ca: file("none") }, CommandError, `${file("none")} cannot be read (ENOENT)`],
    [{ ca: file("client.key") }, CommandError, `${file("client.key")} holds no certificate`],
    [{ key: file("ca.crt") }, CommandError, `${file("ca.crt")} holds no private key`],
    [
      { cert: file("ca.crt") },
      CommandError,
      `${file("client.key")} is not the key of ${file("ca.crt")}`,
    ],
    [{ fingerprint: "ab" }, CommandError, "--fingerprint is not a SHA-256 fingerprint"],
    [{ pulse: "http://127.0.0.1" }, UsageError, "give the address as https://"],
  ];
  for (const [change, type, text] of refused) {
    const error = await target({ ...given, ...change }).catch((reason) => reason);
    expect(error).toBeInstanceOf(type);
    expect(error.message).toContain(text);
    expect(error.message).not.toContain(key);
  }
  await expect(target({ pulse, cert: file("client.crt") })).rejects.toThrow(/belong together/);
});

it("plain text to another host has to be said", async () => {
  const pulse = "http://192.0.2.1:9696";
  await expect(target({ pulse })).rejects.toThrow(UsageError);
  await expect(target({ pulse })).rejects.toThrow(
    /^http:\/\/192\.0\.2\.1:9696 is plain text to another host.*; use https:\/\/ .*, or say --insecure$/,
  );
  expect(await target({ pulse, insecure: true })).toEqual({ url: pulse, insecure: true });
});
