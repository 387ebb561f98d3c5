import { mkdir, rename, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ClientsAuthority, createTestAuthority, selfSigned } from "../support/authority.js";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";
import { TestPulse } from "../support/pulse.js";
import { startTlsFront, type TlsFront } from "../support/tls-front.js";

// The programs, and a Pulse that speaks TLS.

let pulse: TestPulse;
let authority: ClientsAuthority;
let group: ProgramGroup;
let front: TlsFront;
/** What Pulse on this host would have. */
let ownCa: string;

beforeAll(async () => {
  pulse = await TestPulse.start();
  authority = await createTestAuthority();
});
afterAll(() => pulse.stop());

beforeEach(async () => {
  group = await createProgramGroup();
  front = await serve(await authority.server("127.0.0.1", "localhost"));
  await mkdir(join(pulse.dataDirectory, "tls"), { recursive: true });
  ownCa = join(pulse.dataDirectory, "tls", "ca.crt");
  await writeFile(ownCa, authority.ca);
});
afterEach(async () => {
  await front.stop();
  await group.stop();
});

function serve(certificate: Awaited<ReturnType<typeof selfSigned>>, clientCa?: string) {
  const port = Number(new URL(pulse.server.url).port);
  return startTlsFront({ port, certificate, ...(clientCa && { clientCa }) });
}

async function fileWith(name: string, text: string): Promise<string> {
  const path = join(group.directory, name);
  await writeFile(path, text);
  return path;
}

/** `pulse clients list` with these, on Pulse's own host. */
const list = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  group.run("pulse", ["clients", "list", ...args], {
    PULSE_URL: front.url,
    PULSE_DATA: pulse.dataDirectory,
    ...env,
  });

describe("a command", () => {
  test("on Pulse's host finds its authority and its token by itself", async () => {
    expect(await list([])).toMatchObject({ code: 0, stderr: "" });
  });

  test("elsewhere takes the authority from --ca or PULSE_CA", async () => {
    const away = { PULSE_DATA: group.directory, PULSE_TOKEN: await pulse.fileToken("service") };
    const ca = await fileWith("ca.pem", authority.ca);
    expect(await list(["--ca", ca], away)).toMatchObject({ code: 0, stderr: "" });
    expect(await list([], { ...away, PULSE_CA: ca })).toMatchObject({ code: 0, stderr: "" });
    const { code, stderr } = await list([], away);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^pulse: no trusted connection to Pulse at https:\S+: nobody who is trusted here has signed the certificate of 127\.0\.0\.1:\d+: give the certificate of its authority \(--ca\), or its own fingerprint \(--fingerprint\)\n$/,
    );
  });

  test("takes a pin from --fingerprint or PULSE_FINGERPRINT, and says which one it saw", async () => {
    await front.stop();
    const certificate = await selfSigned();
    front = await serve(certificate);
    const { fingerprint } = certificate;
    expect(await list(["--fingerprint", fingerprint])).toMatchObject({ code: 0 });
    expect(await list([], { PULSE_FINGERPRINT: fingerprint })).toMatchObject({ code: 0 });
    const before = front.received();
    const { code, stderr } = await list(["--fingerprint", "ab".repeat(32)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^pulse: no trusted connection .* is ${fingerprint}: .*\n$`));
    expect(front.received()).toBe(before);
    const wrong = await list(["--fingerprint", "abcd"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/^pulse: .*--fingerprint.*64 hex digits.*\n$/);
  });

  test("shows the certificate of --cert and --key", async () => {
    await front.stop();
    front = await serve(await authority.server("127.0.0.1"), authority.ca);
    const { certificate, key } = await authority.client();
    const files = [
      "--cert",
      await fileWith("haul.crt", certificate),
      "--key",
      await fileWith("haul.key", key),
    ];
    expect(await list(files)).toMatchObject({ code: 0, stderr: "" });
    const { code, stderr } = await list([]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/wants a client certificate: .* \(--cert and --key\)\n$/);
    expect(await list(files.slice(0, 2))).toMatchObject({ code: 2 });
  });

  test.each([
    [["--ca", "/no/such/file"], 1, /\/no\/such\/file cannot be read \(ENOENT\)/],
    [["--ca", "package.json"], 1, /package\.json holds no certificate/],
    [["--pulse", "http://127.0.0.1:1", "--ca", "x"], 2, /give the address as https/],
    [["--pulse", "http://192.0.2.1"], 2, /plain text to another host.*--insecure/],
  ] as const)("with %j ends with %i and says why", async (args, expected, says) => {
    const { code, stdout, stderr } = await list(args);
    expect(stderr).toMatch(/^pulse: [^\n]+\n$/);
    expect(stderr).toMatch(says);
    expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
  });

  test("in plain text to another host warns on stderr, once it is allowed", async () => {
    const url = pulse.server.url.replace("127.0.0.1", hostname()); // may not answer: the note comes before
    const env = { PULSE_TOKEN: "t", PULSE_INSECURE: "true", PULSE_URL: url };
    const { stderr } = await list([], env);
    expect(stderr.match(/^Warning: http:.* is plain text to another host.*\.$/gm)).toHaveLength(1);
    const { stderr: flagged } = await list(["--insecure"], { ...env, PULSE_INSECURE: "" });
    expect(flagged).toMatch(/^Warning: /);
  });

  test("told http where there is TLS says what to do", async () => {
    const { code, stderr } = await list(["--pulse", front.url.replace("https", "http")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/if it speaks TLS, give its address as https:\/\//);
  });
});

test("a watch goes on after the authority was replaced", async () => {
  const watch = group.start("pulse", ["services", "watch"], {
    PULSE_URL: front.url,
    PULSE_DATA: pulse.dataDirectory,
  });
  await watch.output(/\S/);
  const next = await createTestAuthority("the next");
  const ca = `${ownCa}.new`;
  await writeFile(ca, next.ca);
  await rename(ca, ownCa);
  front.renew(await next.server("127.0.0.1"));
  await expect.poll(() => watch.stderr, { timeout: 10_000 }).toMatch(/Pulse at https:\S+ is back/);
});

describe("haul run", () => {
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    group.start("haul", ["run", "--listen", "127.0.0.1:0", ...args], {
      PULSE_URL: front.url,
      PULSE_DATA: pulse.dataDirectory,
      ...env,
    });

  test("on Pulse's host registers over TLS by itself", async () => {
    await run([]).line("haul.registered");
    expect(front.received()).toContain("PRI * HTTP/2.0");
  });

  test("says once that a pin does not fit, and sends nothing", async () => {
    const haul = run(["--fingerprint", "ab".repeat(32)]);
    const { error } = await haul.line("haul.attempt-failed");
    expect(error).toMatch(/TLS failed: .* is not the pinned one, its SHA-256 fingerprint is/);
    expect(front.received()).toBe("");
  });

  test("warns of plain text to another host, once it is allowed", async () => {
    const refused = await group.run("haul", ["run", "--pulse", "http://192.0.2.1"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/plain text to another host.*--insecure\n$/);
    const haul = run(["--pulse", "http://192.0.2.1", "--insecure"], { PULSE_TOKEN: "t" });
    const { detail } = await haul.line("haul.plain-text");
    expect(detail).toMatch(/plain text to another host/);
  });
});
