import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import { StartError } from "../../src/pulse/index.js";
import {
  keepAuthority,
  namesIn,
  placeCertificate,
  readAuthority,
} from "../../src/pulse/own-certificates.js";
import { testAuthority } from "../support/certificates.js";
import { seededRandom } from "../support/seeded-random.js";

const issuing = { clock: systemClock, random: seededRandom() };

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-tls-"));
  onTestFinished(() => rm(directory, { recursive: true }));
});

const place = (name: string) => ({
  certificate: join(directory, "tls", `${name}.crt`),
  key: join(directory, "tls", `${name}.key`),
});
const keep = () => keepAuthority(place("ca"), "Pulse on attic", issuing);
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

it("an authority is made once and kept, its key for its owner alone", async () => {
  const made = await keep();
  expect(made.isNew).toBe(true);
  expect(await keep()).toEqual({ ...made, isNew: false });
  expect(await readAuthority(place("ca"))).toEqual(made.keyed);
  const { certificate, key } = place("ca");
  expect([await modeOf(certificate), await modeOf(key)]).toEqual(["644", "600"]);
  expect(await modeOf(join(directory, "tls"))).toBe("700");
});

it("a certificate takes the place of the one before, from the same authority", async () => {
  const { keyed } = await keep();
  const request = { use: "server", subject: "a", names: ["a", "::1"] } as const;
  const before = await placeCertificate(keyed, request, place("server"), issuing);
  const after = await placeCertificate(keyed, request, place("server"), issuing);
  expect(after.about.fingerprint).not.toBe(before.about.fingerprint);
  const pem = await readFile(place("server").certificate, "utf8");
  expect(new X509Certificate(pem).checkIssued(new X509Certificate(keyed.certificate))).toBe(true);
  expect(await namesIn(place("server").certificate)).toEqual(["a", "::1"]);
  expect(await modeOf(place("server").key)).toBe("600");
});

it("no names are in what is missing or broken", async () => {
  await keep();
  const path = place("server").certificate;
  expect(await namesIn(path)).toEqual([]);
  await writeFile(path, "broken");
  expect(await namesIn(path)).toEqual([]);
});

it.each(["certificate", "key"] as const)(
  "half of an authority, without its %s, is not replaced",
  async (half) => {
    await keep();
    await rm(place("ca")[half]);
    const error = await keep().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StartError);
    expect((error as Error).message).toContain(`but not ${place("ca")[half]}: put that back`);
  },
);

it("an authority with the key of another issues nothing, and what was there stays", async () => {
  const { keyed } = await keep();
  const other = await testAuthority();
  const request = { use: "client", subject: "a", names: [] } as const;
  const wrong = { ...keyed, key: other.keyed.key };
  await expect(placeCertificate(wrong, request, place("a"), issuing)).rejects.toThrow(StartError);
  await expect(stat(place("a").key)).rejects.toThrow("ENOENT");
});
