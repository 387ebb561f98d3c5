import { statfs } from "node:fs/promises";

/** What this user may still put into a directory of this host, in bytes; undefined: unknown. */
export async function freeBytesIn(directory: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}
