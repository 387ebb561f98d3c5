import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { isOpenToOthers } from "./private-file.js";

/** Far above any password, API key or token. */
const MAX_BYTES = 65_536;
/** Where containers find their secrets: others than the container are not there. */
const CONTAINER_SECRETS = /^\/(?:var\/)?run\/secrets\//;

/** What a file holds that an operator named: one secret, or what is wrong with it. */
export type SecretFile =
  | {
      readonly ok: true;
      readonly secret: string;
      /** Every user of the host may read it: that is the operator's matter, and worth a word. */
      readonly isExposed: boolean;
    }
  /** For a sentence that begins with the file: `cannot be read (ENOENT): …`. */
  | { readonly ok: false; readonly problem: string };

/** The one line of a file or pipe, without its line's end. Never rejects. */
export async function readSecretFile(path: string): Promise<SecretFile> {
  const fail = (problem: string): SecretFile => ({ ok: false, problem });
  try {
    // Before it is read: a pipe may be gone after that.
    const stats = await stat(path);
    const isExposed = stats.isFile() && isOpenToOthers(stats) && !CONTAINER_SECRETS.test(path);
    const text = await readText(path, MAX_BYTES);
    if (text === undefined) return fail("is too long for a secret: put only the secret into it");
    const secret = text.replace(/\r?\n$/, "");
    if (secret.trim() === "") return fail("is empty: put the secret into it");
    if (/[\r\n]/.test(secret)) return fail("has more than one line: put only the secret into it");
    return { ok: true, secret, isExposed };
  } catch (error) {
    return fail(unreadable(error));
  }
}

/** What to say of a file that the system does not let us read. */
export function unreadable(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return `cannot be read (${code}): check its path and permissions`;
}

/**
 * The text of a file or pipe; undefined if there is more of it than that.
 * @throws the system's error
 */
export async function readText(path: string, maxBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(path, { end: maxBytes })) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  return bytes.length > maxBytes ? undefined : bytes.toString("utf8");
}
