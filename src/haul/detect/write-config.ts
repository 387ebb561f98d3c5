import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makePrivateDirectory, writePrivateFile } from "../../lib/private-file.js";
import { StartError } from "../start-error.js";
import { configText } from "./config-text.js";
import type { DetectedClient } from "./detect.js";

export interface WrittenConfig {
  /** The configuration first, then a file for each secret; all 0600. */
  readonly files: readonly string[];
}

/**
 * Writes the configuration of a Haul, and beside it, in `secrets/`, a file for each
 * secret that was read. What is there already is left alone, unless `isForced`.
 * @param path absolute
 * @throws StartError that names the file that is in the way, or cannot be written.
 */
export async function writeConfig(
  path: string,
  clients: readonly DetectedClient[],
  { isForced }: { readonly isForced: boolean },
): Promise<WrittenConfig> {
  const directory = dirname(path);
  /** As the configuration names it, so that both can be moved together. */
  const secretFileOf = ({ name }: DetectedClient) => join("secrets", name);
  const secrets = clients.flatMap((client) =>
    client.secret === undefined
      ? []
      : [{ file: join(directory, secretFileOf(client)), text: `${client.secret}\n` }],
  );
  const config = { file: path, text: configText(clients, secretFileOf) };
  if (!isForced) for (const { file } of [config, ...secrets]) await refuseIfThere(file);
  try {
    // The configuration last: whoever finds it finds all that it names.
    for (const { file, text } of [...secrets, config]) {
      await makePrivateDirectory(dirname(file));
      await writePrivateFile(file, text);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(
      `${path} and the secrets beside it cannot be written (${code}): name another file with --output`,
      { cause: error },
    );
  }
  return { files: [config, ...secrets].map(({ file }) => file) };
}

async function refuseIfThere(file: string): Promise<void> {
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (isThere)
    throw new StartError(
      `${file} is there already: name another file with --output, or replace it with --force`,
    );
}
