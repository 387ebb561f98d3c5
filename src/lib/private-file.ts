import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { platform } from "node:os";
import { basename, dirname, join } from "node:path";
import { makeDirectory } from "./directory.js";

const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;
/** A secret lies open. The message is one sentence that names the file and says what to do. */
export class ExposedFileError extends Error {
  override readonly name = "ExposedFileError";
  constructor(path: string) {
    super(
      `${path} holds a secret and every user of this host may use it: take that away with "chmod o= ${path}", and replace the secret if somebody may have read it`,
    );
  }
}

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
  await syncDirectory(dirname(path)); // or a power failure could bring the old one back
}

/**
 * Removes what processes have left that ended while they wrote this file. To be called
 * only while no other writes it.
 */
export async function removeUnfinished(path: string): Promise<void> {
  const directory = dirname(path);
  const start = `${basename(path)}.`;
  for (const name of await readdir(directory))
    if (name.startsWith(start) && TEMPORARY_END.test(name.slice(start.length)))
      await rm(join(directory, name), { force: true });
}

const TEMPORARY_END = /^[0-9a-f]{12}\.tmp$/;

/**
 * The text of a private file; on first use it is made from `create`. Two
 * processes that start together agree on one content.
 * @throws ExposedFileError if it is there and not private
 */
export async function readOrCreatePrivateFile(
  path: string,
  create: () => string,
): Promise<{ text: string; created: boolean }> {
  const existing = await readPrivateFile(path);
  if (existing !== undefined) return { text: existing, created: false };
  await makePrivateDirectory(dirname(path));
  const text = create();
  const temporary = await writeTemporary(path, text, PRIVATE_MODE);
  try {
    await link(temporary, path); // unlike rename, fails if the other process was first
    await syncDirectory(dirname(path));
    return { text, created: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return { text: await readFile(path, "utf8"), created: false };
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * As `readIfPresent`, of a file that one of our programs has made for its owner alone.
 * @throws ExposedFileError if others have been let in since
 */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  const file = await openIfPresent(path);
  if (!file) return undefined;
  try {
    const stat = await file.stat();
    if (stat.isFile() && isOpenToOthers(stat)) throw new ExposedFileError(path);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/**
 * Whether every user of the host may read or write a file. Its group may: one is given on
 * purpose, as by Kubernetes' fsGroup or for backups. Where there are no such rights, no.
 */
export function isOpenToOthers({ mode }: { readonly mode: number }): boolean {
  return platform() !== "win32" && (mode & 0o007) !== 0;
}

async function openIfPresent(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
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

/** So that the names in it survive a power failure. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory);
  await handle.sync().finally(() => handle.close());
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
