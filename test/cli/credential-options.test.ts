import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { addSecretOptions, readSecret } from "../../src/cli/credential-options.js";

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-secrets-"));
  file = join(directory, "password");
  await writeFile(file, "of-file\n", { mode: 0o600 });
});

afterEach(() => {
  vi.unstubAllEnvs();
  return rm(directory, { recursive: true });
});

const secret = (...args: string[]) =>
  readSecret(addSecretOptions(new Command(), "BOX").parse(args, { from: "user" }), "BOX");

test("a file that was typed goes before a variable, and that before a file that a variable names", async () => {
  expect(await secret()).toBeUndefined();
  vi.stubEnv("BOX_PASSWORD_FILE", file);
  expect(await secret()).toBe("of-file");
  vi.stubEnv("BOX_PASSWORD", "of-variable");
  expect(await secret()).toBe("of-variable");
  expect(await secret("--password-file", file)).toBe("of-file");
});

test("an API key is as good as a password, and both are one too many", async () => {
  vi.stubEnv("BOX_API_KEY", "key");
  expect(await secret()).toBe("key");
  await expect(secret("--password-file", file)).rejects.toThrow("not both");
});

test("without a prefix only a file that was typed counts", async () => {
  vi.stubEnv("BOX_PASSWORD", "of-variable");
  vi.stubEnv("BOX_API_KEY_FILE", file);
  const typed = (...args: string[]) =>
    readSecret(addSecretOptions(new Command()).parse(args, { from: "user" }));
  expect(await typed()).toBeUndefined();
  expect(await typed("--api-key-file", file)).toBe("of-file");
  expect(addSecretOptions(new Command()).helpInformation()).toContain("/dev/stdin");
});
