import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ExposedFileError,
  readIfPresent,
  readOrCreatePrivateFile,
  readPrivateFile,
  removeUnfinished,
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

describe("a private file that was opened to others since", () => {
  const exposed = async (mode: number) => {
    const path = join(directory, mode.toString(8));
    await readOrCreatePrivateFile(path, () => "secret");
    await chmod(path, mode);
    return path;
  };

  it.each([0o644, 0o604, 0o602, 0o601, 0o666])("of mode %o is refused", async (mode) => {
    const path = await exposed(mode);
    for (const read of [() => readPrivateFile(path), () => readOrCreatePrivateFile(path, () => "")])
      await expect(read()).rejects.toThrow(
        new ExposedFileError(path), // whose message says what to do
      );
    expect(new ExposedFileError(path).message).toContain(`"chmod o= ${path}"`);
  });

  it.each([0o600, 0o400, 0o640, 0o660])(
    "of mode %o is read: its group is let in on purpose",
    async (mode) => {
      expect(await readPrivateFile(await exposed(mode))).toBe("secret");
    },
  );

  it("is not missed if it is not there", async () => {
    expect(await readPrivateFile(join(directory, "none"))).toBeUndefined();
  });
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

it("removes what was left unfinished of a file, and of no other", async () => {
  const others = ["secret", "secret.old", "secret.tmp", "secrets.0123456789ab.tmp"];
  for (const name of [...others, "secret.0123456789ab.tmp"])
    await writeFile(join(directory, name), "text");
  await removeUnfinished(join(directory, "secret"));
  expect((await readdir(directory)).sort()).toEqual(others.sort());
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
