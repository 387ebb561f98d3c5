import { readFile } from "node:fs/promises";
import { CommandError } from "./failure.js";

/** The text of a file that was named on the command line. The message of a failure names the file only. */
export function readGivenFile(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new CommandError(`cannot read ${path} (${error.code}): check its path and permissions`);
  });
}

/** The one line of a file that holds a secret. */
export async function readSecretFile(path: string): Promise<string> {
  const secret = (await readGivenFile(path)).replace(/\r?\n$/, "");
  if (secret.trim() === "") throw new CommandError(`${path} is empty: put the secret into it`);
  return secret;
}
