import { type Identity, readOrCreateIdentity } from "../client/index.js";
import { makePrivateDirectory } from "../lib/private-file.js";
import { type KeyRing, type KeyRingOptions, openKeyRing } from "./key-ring.js";
import { StartError } from "./start-error.js";

/** What a Haul keeps from run to run. */
export interface HaulState {
  readonly identity: Identity;
  /** Keys of its own API. */
  readonly keys: KeyRing;
}

/** @throws Error in one sentence if the directory cannot be used or a file in it is damaged. */
export async function openState(directory: string, options: KeyRingOptions): Promise<HaulState> {
  return usable(directory, async () => {
    await makePrivateDirectory(directory);
    const identity = await readOrCreateIdentity(directory, options.random);
    return { identity, keys: await openKeyRing(directory, options) };
  });
}

/** Makes the state directory of one client. @throws as `openState` */
export function openClientState(directory: string): Promise<void> {
  return usable(directory, () => makePrivateDirectory(directory));
}

async function usable<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new StartError(
      `cannot use the state directory ${directory} (${code}): give one with --data that this user may write to`,
      { cause: error },
    );
  }
}
