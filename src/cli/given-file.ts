import { readFile } from "node:fs/promises";
import { readSecretFile as read, unreadable } from "../lib/secret-file.js";
import { CommandError } from "./failure.js";
import { note } from "./output.js";

/** The text of a file that was named on the command line. The message of a failure names the file only. */
export function readGivenFile(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error) => {
    throw new CommandError(`${path} ${unreadable(error)}`);
  });
}

/** The one line of a file that holds a secret. A file that everybody may read is used, with a warning. */
export async function readSecretFile(path: string): Promise<string> {
  const file = await read(path);
  if (!file.ok) throw new CommandError(`${path} ${file.problem}`);
  if (file.isExposed) warnOnce(path);
  return file.secret;
}

/** Of which that was said: a token file is read anew for each attempt. */
const warnedOf = new Set<string>();

/** The file is the operator's own, and how he keeps it his matter. */
function warnOnce(path: string): void {
  if (warnedOf.has(path)) return;
  warnedOf.add(path);
  note(`${path} holds a secret and every user of this host may read it: "chmod 600 ${path}"`);
}
