import { spawnSync } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { SmallDisk, smallDiskMissing } from "./small-disk.js";

it.skipIf(smallDiskMissing())("a small disk is full, and has room again", async () => {
  const disk = await SmallDisk.create(1 << 20);
  onTestFinished(() => disk.close());
  await writeFile(join(disk.directory, "before"), "1");
  disk.fill();
  const file = join(disk.directory, "after");
  await expect(writeFile(file, "2")).rejects.toThrow("ENOSPC");
  await disk.free();
  await writeFile(file, "3");
  expect((await readdir(disk.directory)).sort()).toEqual(["after", "before"]);
  const [command = "", ...words] = [...disk.enter, "cat", file];
  expect(spawnSync(command, words).stdout.toString()).toBe("3");
});
