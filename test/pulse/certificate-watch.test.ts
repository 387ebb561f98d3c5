import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import { watchCertificate } from "../../src/pulse/certificate-watch.js";
import type { KeyedCertificate } from "../../src/pulse/certificates.js";
import { readTls, type TlsFiles } from "../../src/pulse/tls-files.js";
import type { TlsCredentials } from "../../src/wire/server.js";
import { type TestAuthority, testAuthority } from "../support/certificates.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";
import { recordingLog } from "../support/recording-log.js";

const LOOK_MS = 2_000;
const DAY_MS = 86_400_000;

let authority: TestAuthority;
let first: KeyedCertificate;
let second: KeyedCertificate;
beforeAll(async () => {
  authority = await testAuthority();
  [first, second] = await Promise.all([authority.server(), authority.server()]);
});

let directory: string;
let files: TlsFiles;
let clock: ManualClock;
let log: ReturnType<typeof recordingLog>;
let used: TlsCredentials[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-tls-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  files = { certificate: join(directory, "server.crt"), key: join(directory, "server.key") };
  clock = new ManualClock(1_000, systemClock.wallNow());
  log = recordingLog();
  used = [];
});

async function put({ certificate, key }: KeyedCertificate): Promise<void> {
  await writeFile(files.key, key);
  await writeFile(files.certificate, certificate);
}

async function watch(begin: KeyedCertificate = first) {
  await put(begin);
  return watchFiles();
}

/** What the files hold is in use, and they are watched. */
async function watchFiles() {
  const watching = watchCertificate({
    files,
    loaded: await readTls(files, clock),
    clock,
    log,
    use: (credentials) => used.push(credentials),
  });
  onTestFinished(() => watching.stop());
  return watching;
}

/** One look at the files, to its end. */
async function look(): Promise<void> {
  await clock.advance(LOOK_MS);
  await new Promise((resolve) => setTimeout(resolve, 30)); // the disk has its own time
}
const messages = () => log.lines.map(({ level, msg }) => `${level} ${msg.split(":")[0]}`);

it("says what is in use, and nothing of the key", async () => {
  await watch();
  expect(log.lines).toMatchObject([
    {
      level: "info",
      msg: "pulse.certificate_loaded",
      fields: { names: ["localhost", "127.0.0.1", "::1"] },
    },
  ]);
  expect(log.lines[0]?.fields).toHaveProperty("fingerprint");
  expect(log.lines[0]?.fields).toHaveProperty("notAfter");
  expect(JSON.stringify(log.lines)).not.toContain("PRIVATE");
});

it("takes files that have changed once they stay the same for a look, and only once", async () => {
  await watch();
  await look();
  await put(second);
  await look();
  expect(used).toEqual([]);
  await look();
  await eventually(() => expect(used).toEqual([second]));
  await look();
  await look();
  expect(used).toHaveLength(1);
  expect(messages()).toEqual(["info pulse.certificate_loaded", "info pulse.certificate_loaded"]);
});

it("bears files that are written one after the other, and in pieces, without a word", async () => {
  await watch();
  await writeFile(files.key, second.key.slice(0, 50));
  await look();
  await writeFile(files.key, second.key);
  await look();
  await writeFile(files.certificate, second.certificate);
  await look();
  expect(messages()).toEqual(["info pulse.certificate_loaded"]);
  await look();
  await eventually(() => expect(used).toEqual([second]));
});

it("keeps what is in use while the files cannot be used, says that once, and takes the next that can", async () => {
  await watch();
  await writeFile(files.key, second.key);
  for (let i = 0; i < 5; i++) await look();
  expect(used).toEqual([]);
  expect(messages()).toEqual(["info pulse.certificate_loaded", "error pulse.certificate_kept"]);
  expect(log.lines[1]?.msg).toContain("does not belong to the certificate");
  await rm(files.certificate);
  for (let i = 0; i < 5; i++) await look();
  expect(messages().slice(2)).toEqual(["error pulse.certificate_kept"]);
  await put(second);
  for (let i = 0; i < 2; i++) await look();
  await eventually(() => expect(used).toEqual([second]));
});

it("notices that a link leads elsewhere, as where secrets are mounted", async () => {
  const link = join(directory, "now");
  const paths = ["one", "two"].map((name) => join(directory, name));
  for (const [i, pair] of [first, second].entries()) {
    const path = paths[i] ?? "";
    await mkdir(path);
    await writeFile(join(path, "tls.crt"), pair.certificate);
    await writeFile(join(path, "tls.key"), pair.key);
  }
  await symlink("one", link);
  files = { certificate: join(link, "tls.crt"), key: join(link, "tls.key") };
  await watchFiles();
  await symlink("two", `${link}.new`);
  await rename(`${link}.new`, link);
  await look();
  await look();
  await eventually(() => expect(used).toEqual([second]));
});

it("reads at once when told, changed or not", async () => {
  const watching = await watch();
  await watching.reload();
  expect(used).toEqual([first]);
  await put(second);
  await Promise.all([watching.reload(), watching.reload()]);
  expect(used).toEqual([first, second, second]);
  await writeFile(files.certificate, "");
  await watching.reload();
  expect(used).toHaveLength(3);
  expect(log.lines.at(-1)).toMatchObject({ level: "error" });
});

it("leaves no timer behind", async () => {
  const watching = await watch();
  watching.stop();
  expect(clock.pending).toBe(0);
});

describe("the end of a certificate", () => {
  it("is no matter 15 days before, and is warned of from 14 days before on, daily", async () => {
    await watch(await authority.serverUntil(15.5));
    expect(messages()).toEqual(["info pulse.certificate_loaded"]);
    clock.advanceSync(DAY_MS);
    expect(messages()).toHaveLength(1);
    clock.advanceSync(DAY_MS);
    clock.advanceSync(DAY_MS);
    expect(messages().slice(1)).toEqual([
      "warn pulse.certificate_ends",
      "warn pulse.certificate_ends",
    ]);
  });

  it("is warned of at the start, and an error once it is there", async () => {
    await watch(await authority.serverUntil(0.5));
    clock.advanceSync(DAY_MS);
    expect(messages().slice(1)).toEqual([
      "warn pulse.certificate_ends",
      "error pulse.certificate_ended",
    ]);
    expect(log.lines[1]?.msg).toContain("pulse tls init");
  });

  it("is not warned of any more once there is another", async () => {
    const watching = await watch(await authority.serverUntil(5));
    await put(second);
    await watching.reload();
    clock.advanceSync(2 * DAY_MS);
    expect(messages().filter((line) => line.startsWith("warn"))).toHaveLength(1);
  });
});
