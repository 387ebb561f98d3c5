import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  readIfPresent,
  readOrCreatePrivateFile,
  writePrivateFile,
} from "../../src/lib/private-file.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "private-file-"));
});
afterEach(() => rm(directory, { recursive: true }));

it("makes a file once, for its owner alone, in a directory for its owner alone", async () => {
  const path = join(directory, "state", "secret");
  expect(await readOrCreatePrivateFile(path, () => "one")).toEqual({ text: "one", created: true });
  expect(await readOrCreatePrivateFile(path, () => "two")).toEqual({ text: "one", created: false });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(join(directory, "state"))).mode & 0o777).toBe(0o700);
});

it("agrees on one content when many start together, and leaves nothing else behind", async () => {
  const path = join(directory, "secret");
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, i) => readOrCreatePrivateFile(path, () => `text ${i}`)),
  );
  expect(new Set(made.map(({ text }) => text)).size).toBe(1);
  expect(made.filter(({ created }) => created)).toHaveLength(1);
  expect(await readdir(directory)).toEqual(["secret"]);
});

it("replaces a file whole, for its owner alone", async () => {
  const path = join(directory, "file");
  await writePrivateFile(path, "long long text");
  await writePrivateFile(path, "short");
  expect(await readFile(path, "utf8")).toBe("short");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

it("tells a missing file from one that cannot be read", async () => {
  expect(await readIfPresent(join(directory, "none"))).toBeUndefined();
  await expect(readIfPresent(directory)).rejects.toThrow(/EISDIR/);
});

it("leaves nothing behind when it cannot write", async () => {
  const path = join(directory, "is-a-directory");
  await mkdir(path);
  await expect(writePrivateFile(path, "text")).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
  expect(await readdir(directory)).toEqual(["is-a-directory"]);
});
