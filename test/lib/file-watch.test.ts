import { mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { type FileLooks, lookAt, watchFiles } from "../../src/lib/file-watch.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";

const LOOK_MS = 2_000;

let directory: string;
let clock: ManualClock;
/** Those to look at, and how often they were read. */
let paths: string[];
let readings: number;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-watch-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  clock = new ManualClock();
  paths = [await put("a", "1")];
  readings = 0;
});

async function put(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

async function watch(read = async () => lookAt(paths)) {
  const watching = watchFiles({
    looks: await lookAt(paths),
    clock,
    read() {
      readings++;
      return read();
    },
  });
  onTestFinished(() => watching.stop());
  return watching;
}

/** The next look, and what follows from it. */
async function look(): Promise<void> {
  clock.advanceSync(LOOK_MS);
  await new Promise((resolve) => setTimeout(resolve, 20)); // the file system is no manual one
}

/** Looks on until there were so many readings, and a few times more. */
async function readTimes(count: number): Promise<void> {
  await eventually(async () => {
    await look();
    expect(readings).toBe(count);
  });
  for (let i = 0; i < 3; i++) await look();
  expect(readings).toBe(count);
}

it("has a file read once after it has changed and stayed the same for a look", async () => {
  await watch();
  await look();
  await put("a", "22");
  await look();
  expect(readings).toBe(0);
  await readTimes(1);
});

it("waits while the file goes on changing", async () => {
  await watch();
  for (let length = 2; length < 6; length++) {
    await put("a", "x".repeat(length));
    await look();
  }
  expect(readings).toBe(0);
  await readTimes(1);
});

it("has files read that go away, and that come back", async () => {
  await watch();
  await rm(join(directory, "a"));
  await readTimes(1);
  await put("a", "1");
  await readTimes(2);
});

it("notices that a link leads to another file of the same size", async () => {
  await put("one", "1");
  await put("two", "2");
  const link = join(directory, "link");
  await symlink("one", link);
  paths = [link];
  await watch();
  await symlink("two", `${link}.new`);
  await rename(`${link}.new`, link);
  await readTimes(1);
});

it("looks at other files once a reading has named them, and does not read these again for that", async () => {
  await watch();
  paths = [...paths, await put("b", "1")];
  await put("a", "22");
  await readTimes(1);
  await put("b", "22");
  await readTimes(2);
});

it("has the files read at once when told, one reading after the other", async () => {
  let isReading = false;
  const watching = await watch(async () => {
    expect(isReading).toBe(false);
    isReading = true;
    const looks = await lookAt(paths);
    isReading = false;
    return looks;
  });
  await Promise.all([watching.reload(), watching.reload()]);
  expect(readings).toBe(2);
});

it("does not look while a reading takes its time", async () => {
  let end = (_: FileLooks) => {};
  await watch(() => new Promise((resolve) => (end = resolve)));
  await put("a", "22");
  await eventually(async () => {
    await look();
    expect(readings).toBe(1);
  });
  await put("a", "333");
  for (let i = 0; i < 4; i++) await look();
  end(await lookAt(paths));
  for (let i = 0; i < 4; i++) await look();
  expect(readings).toBe(1);
});

it("reads nothing and leaves no timer behind once it is stopped", async () => {
  const watching = await watch();
  watching.stop();
  await watching.reload();
  expect(readings).toBe(0);
  expect(clock.pending).toBe(0);
});
