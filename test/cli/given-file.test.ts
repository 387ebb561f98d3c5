import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { readSecretFile } from "../../src/cli/given-file.js";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-files-"));
});

afterEach(() => rm(directory, { recursive: true }));

test("a secret file that is missing or empty is named, with what to do", async () => {
  const missing = join(directory, "missing");
  await expect(readSecretFile(missing)).rejects.toThrow(
    `${missing} cannot be read (ENOENT): check`,
  );
  const empty = join(directory, "empty");
  await writeFile(empty, "\n");
  await expect(readSecretFile(empty)).rejects.toThrow(`${empty} is empty: put the secret into it`);
});

test("a secret may have spaces: only the line's end is cut off", async () => {
  const file = join(directory, "password");
  await writeFile(file, " pass word \r\n");
  expect(await readSecretFile(file)).toBe(" pass word ");
});

test("a secret file that everybody can read is used, with a warning", async () => {
  const notes = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  onTestFinished(() => notes.mockRestore());
  const file = join(directory, "password");
  await writeFile(file, "word\n", { mode: 0o600 });
  expect(await readSecretFile(file)).toBe("word");
  expect(notes).not.toHaveBeenCalled();
  await chmod(file, 0o644);
  expect(await readSecretFile(file)).toBe("word");
  expect(String(notes.mock.calls)).toContain(`"chmod 600 ${file}"`);
  expect(String(notes.mock.calls)).not.toContain("word\n");
});
