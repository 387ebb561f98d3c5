import { isDeepStrictEqual } from "node:util";
import { readIfPresent, removeUnfinished, writePrivateFile } from "../lib/private-file.js";
import type { Random } from "../lib/random.js";
import { keyIdOf } from "../lib/sealing.js";
import { keyTexts, newKeyText, parseKeys, type StoreKeys } from "./secret-key.js";
import {
  type KeyRotation,
  KeyRotationError,
  type RotationStep,
  StoreUnavailableError,
} from "./store.js";

/** What a rotation does to a database. */
export interface RotatedDatabase {
  /** Lets the newest key seal all that is committed from now on, by whoever, and says so in the clock. */
  adopt(): Promise<void>;
  /** See Resealing.next. */
  reseal(): Promise<number | undefined>;
  /** Sees to it that nothing which was replaced stays on disk, as far as that can be done. */
  purge(): Promise<void>;
}

export interface RotationOptions {
  readonly keys: StoreKeys;
  /** Other Pulses use the database: a key that one of them made the others would not know. */
  readonly isShared: boolean;
  readonly database: RotatedDatabase;
  readonly random: Random;
  readonly onStep: (step: RotationStep) => void;
}

/**
 * Goes from the keys of a store to its newest one alone. The order is what makes it safe to
 * be cut short: a key is durable before anything is sealed with it, and leaves only when
 * nothing is sealed with it any more. In between all of them open, at a next start too.
 * @throws KeyRotationError
 */
export async function rotateKeys(options: RotationOptions): Promise<KeyRotation> {
  const { keys, isShared, database, onStep } = options;
  const { secrets, source } = keys;
  const file = source.kind === "file" && !isShared ? source.name : undefined;
  if (file !== undefined) await makeNewest(file, options);
  else if (secrets.keyIds.length < 2) throw noNewKey(keys, isShared);
  onStep("prepared");
  await database.adopt();
  onStep("adopted");
  let resealed = 0;
  for (let count = await database.reseal(); count !== undefined; count = await database.reseal()) {
    resealed += count;
    onStep("resealed");
    await new Promise(setImmediate); // others have their turn
  }
  await database.purge();
  onStep("purged");
  const { keyId } = secrets;
  const retiredKeyIds = secrets.keyIds.filter((id) => id !== keyId);
  if (file !== undefined) await dropOlder(file, keys);
  onStep("retired");
  return { keyId, resealed, retiredKeyIds };
}

/** Several keys are there if a rotation was cut short, or if the operator has put a new one first. */
async function makeNewest(file: string, { keys, random }: RotationOptions): Promise<void> {
  const { secrets } = keys;
  await removeUnfinished(file);
  const known = await readKnown(file, keys);
  if (secrets.keyIds.length > 1) return;
  const texts = [newKeyText(random), ...known];
  await writeKeys(file, texts);
  secrets.replaceKeys(keysOf(texts));
}

async function dropOlder(file: string, keys: StoreKeys): Promise<void> {
  const texts = (await readKnown(file, keys)).slice(0, 1);
  await writeKeys(file, texts);
  keys.secrets.replaceKeys(keysOf(texts));
}

/** The keys in the file. @throws KeyRotationError if they are not those that this Pulse has: it would destroy one. */
async function readKnown(file: string, { secrets }: StoreKeys): Promise<readonly string[]> {
  const text = (await readIfPresent(file)) ?? "";
  const ids = parseKeys(text)?.map(keyIdOf);
  if (isDeepStrictEqual(ids, secrets.keyIds)) return keyTexts(text);
  throw new KeyRotationError(
    `${file} has changed since Pulse has read it: put back what was there or stop and start Pulse, and call this again`,
    "KEY_FILE_CHANGED",
  );
}

async function writeKeys(file: string, texts: readonly string[]): Promise<void> {
  try {
    await writePrivateFile(file, texts.map((text) => `${text}\n`).join(""));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StoreUnavailableError(`${file} cannot be written (${code})`, { cause });
  }
}

function keysOf(texts: readonly string[]): readonly Buffer[] {
  const keys = parseKeys(texts.join("\n"));
  if (!keys) throw new Error("a key file holds something that is no key");
  return keys;
}

function noNewKey({ source }: StoreKeys, isShared: boolean): KeyRotationError {
  const given =
    source.kind === "given"
      ? `${source.name}=NEW,OLD`
      : `${source.name} with the new key on the first line and the old one on the second`;
  const steps = isShared
    ? `give every Pulse on this database the new one and the old one (${given}), starting one after the other anew, call this again on one of them, and then take the old key away from all`
    : `start Pulse anew with the new one and the old one (${given}), call this again, and then take the old key away`;
  return new KeyRotationError(
    `there is no new key to encrypt with, ${source.name} holds only one: make another (openssl rand -hex 32), ${steps}`,
    "NO_NEW_KEY",
  );
}
