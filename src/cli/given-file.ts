import { readFile, stat } from "node:fs/promises";
import { isOpenToOthers } from "../lib/private-file.js";
import { CommandError } from "./failure.js";
import { note } from "./output.js";

/** Where containers find their secrets: others than the container are not there. */
const CONTAINER_SECRETS = /^\/(?:var\/)?run\/secrets\//;

/** The text of a file that was named on the command line. The message of a failure names the file only. */
export function readGivenFile(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new CommandError(`cannot read ${path} (${error.code}): check its path and permissions`);
  });
}

/** The one line of a file that holds a secret. A file that everybody may read is used, with a warning. */
export async function readSecretFile(path: string): Promise<string> {
  await warnIfExposed(path);
  const secret = (await readGivenFile(path)).replace(/\r?\n$/, "");
  if (secret.trim() === "") throw new CommandError(`${path} is empty: put the secret into it`);
  return secret;
}

/** Of which that was said: a token file is read anew for each attempt. */
const warnedOf = new Set<string>();

/** The file is the operator's own, and how he keeps it his matter. */
async function warnIfExposed(path: string): Promise<void> {
  if (warnedOf.has(path)) return;
  const stats = await stat(path).catch(() => undefined); // reading it will say why
  if (!stats?.isFile() || !isOpenToOthers(stats) || CONTAINER_SECRETS.test(path)) return;
  warnedOf.add(path);
  note(`${path} holds a secret and every user of this host may read it: "chmod 600 ${path}"`);
}
