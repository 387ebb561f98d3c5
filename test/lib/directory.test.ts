import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeDirectory } from "../../src/lib/directory.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "directory-"));
});
afterEach(() => rm(directory, { recursive: true }));

it("makes what is missing, with the mode, and leaves what is there", async () => {
  const path = join(directory, "a", "b", "c");
  await Promise.all([makeDirectory(path, 0o700), makeDirectory(path, 0o700)]);
  await makeDirectory(path, 0o755);
  for (const made of ["a", "a/b", "a/b/c"])
    expect((await stat(join(directory, made))).mode & 0o777).toBe(0o700);
});

it("below a file is ENOTDIR", async () => {
  await writeFile(join(directory, "file"), "");
  await expect(makeDirectory(join(directory, "file", "a", "b"))).rejects.toMatchObject({
    code: "ENOTDIR",
  });
});

it("where no directory can be made ends with an error, not never", async () => {
  await expect(makeDirectory("/proc/pulse/a")).rejects.toMatchObject({ code: "ENOENT" });
});
