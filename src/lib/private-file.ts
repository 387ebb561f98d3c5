import { randomBytes } from "node:crypto";
import { link, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectory } from "./directory.js";

const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;

/** Makes a directory (and its parents) that only its owner may enter. */
export async function makePrivateDirectory(path: string): Promise<void> {
  await makeDirectory(path, 0o700);
}

/** Writes a file of mode 0600, whole or not at all, and durably. */
export function writePrivateFile(path: string, text: string): Promise<void> {
  return replaceFile(path, text, PRIVATE_MODE);
}

/** As `writePrivateFile`, for what everybody may read. */
export function writePublicFile(path: string, text: string): Promise<void> {
  return replaceFile(path, text, PUBLIC_MODE);
}

async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = await writeTemporary(path, text, mode);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * The text of a private file; on first use it is made from `create`. Two
 * processes that start together agree on one content.
 */
export async function readOrCreatePrivateFile(
  path: string,
  create: () => string,
): Promise<{ text: string; created: boolean }> {
  const existing = await readIfPresent(path);
  if (existing !== undefined) return { text: existing, created: false };
  await makePrivateDirectory(dirname(path));
  const text = create();
  const temporary = await writeTemporary(path, text, PRIVATE_MODE);
  try {
    await link(temporary, path); // unlike rename, fails if the other process was first
    return { text, created: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return { text: await readFile(path, "utf8"), created: false };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The file's text, or undefined if there is no such file. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Removes a file, if it is there. */
export async function removeIfPresent(path: string): Promise<void> {
  await rm(path, { force: true });
}

async function writeTemporary(path: string, text: string, mode: number): Promise<string> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const file = await open(temporary, "wx", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await rm(temporary, { force: true }); // a full disk would keep a piece for each try
    throw error;
  } finally {
    await file.close();
  }
  return temporary;
}
