import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { readSecretFile, readText } from "../../src/lib/secret-file.js";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-secret-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  path = join(directory, "secret");
});

async function read(text: string) {
  await writeFile(path, text, { mode: 0o600 });
  return readSecretFile(path);
}

it.each([
  ["word\n", "word"],
  ["word", "word"],
  [" pass word \r\n", " pass word "],
  ["x".repeat(65_536), "x".repeat(65_536)],
])("has one line, of which the end is no part", async (text, secret) => {
  expect(await read(text)).toEqual({ ok: true, secret, isExposed: false });
});

it.each([
  ["", "is empty: put the secret into it"],
  [" \n", "is empty: put the secret into it"],
  ["one\ntwo\n", "has more than one line: put only the secret into it"],
  ["word\n\n", "has more than one line: put only the secret into it"],
  ["x".repeat(65_537), "is too long for a secret: put only the secret into it"],
])("is refused otherwise, without a word of what is in it", async (text, problem) => {
  expect(await read(text)).toEqual({ ok: false, problem });
});

it("is refused if it cannot be read, with the system's code", async () => {
  const problem = (code: string) => `cannot be read (${code}): check its path and permissions`;
  expect(await readSecretFile(path)).toEqual({ ok: false, problem: problem("ENOENT") });
  expect(await readSecretFile(directory)).toEqual({ ok: false, problem: problem("EISDIR") });
});

it("is said to be exposed if every user may read or write it, and not if its group may", async () => {
  await read("word\n");
  for (const [mode, isExposed] of [
    [0o640, false],
    [0o644, true],
    [0o602, true],
  ] as const) {
    await chmod(path, mode);
    expect(await readSecretFile(path)).toMatchObject({ isExposed });
  }
});

it("may be a pipe, and a pipe without end is not read to it", async () => {
  const program = `
    const { readSecretFile } = await import("./src/lib/secret-file.ts");
    console.log(JSON.stringify(await readSecretFile("/dev/stdin")));`;
  const run = (command: string) =>
    JSON.parse(
      execFileSync(
        "sh",
        ["-c", `${command} | node --import tsx --input-type=module -e '${program}'`],
        {
          encoding: "utf8",
        },
      ),
    );
  expect(run("echo word")).toEqual({ ok: true, secret: "word", isExposed: false });
  expect(run("yes")).toMatchObject({ ok: false, problem: expect.stringContaining("too long") });
});

it("a text is read up to its bound, in bytes", async () => {
  await writeFile(path, "äö");
  expect(await readText(path, 4)).toBe("äö");
  expect(await readText(path, 3)).toBeUndefined();
});
