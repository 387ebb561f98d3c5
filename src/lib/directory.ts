import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a directory and the parents that are missing, all with this mode.
 * Node's own recursive mkdir runs for ever where a parent exists but cannot take
 * a directory, as in /proc.
 * @throws the system's error
 */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  if (await isMade(path, mode)) return;
  const parent = dirname(path);
  if (parent !== path) await makeDirectory(parent, mode);
  await mkdir(path, { mode }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error; // another process was as quick
  });
}

/** False if a parent is missing. */
async function isMade(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return false;
    if (code === "EEXIST") return true; // a file in its place shows when something is put into it
    throw error;
  }
}
