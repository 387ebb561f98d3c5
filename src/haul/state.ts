import { type Identity, readOrCreateIdentity } from "../client/index.js";
import { makePrivateDirectory } from "../lib/private-file.js";
import type { Random } from "../lib/random.js";
import { readOrCreateKey } from "./api-key.js";
import { StartError } from "./start-error.js";

/** What a Haul keeps from run to run. */
export interface HaulState {
  readonly identity: Identity;
  /** Key of its own API. */
  readonly apiKey: string;
}

/** @throws Error in one sentence if the directory cannot be used or a file in it is damaged. */
export async function openState(directory: string, random: Random): Promise<HaulState> {
  try {
    await makePrivateDirectory(directory);
    const identity = await readOrCreateIdentity(directory, random);
    return { identity, apiKey: await readOrCreateKey(directory, "api.key", random) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new StartError(
      `cannot use the state directory ${directory} (${code}): give one with --data that this user may write to`,
      { cause: error },
    );
  }
}
