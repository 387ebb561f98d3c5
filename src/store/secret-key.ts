import { join } from "node:path";
import { forgetLastMatch } from "../lib/last-match.js";
import { ExposedFileError, readOrCreatePrivateFile, readPrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret } from "../lib/random.js";
import { KEY_BYTES, keyIdOf, Secrets, type UnsealError } from "../lib/sealing.js";
import { StoreOpenError } from "./store.js";

const KEY_FILE = "secret.key";
const KEY_VARIABLE = "PULSE_SECRET_KEY";
const CHECKED_TEXT = "pulse";
const CHECK_PLACE = "clock.key_check";

/** Where the keys of a store come from: the operator gives them, or they are one per line of a file. */
export type KeySource =
  | { readonly kind: "given"; readonly name: typeof KEY_VARIABLE }
  | { readonly kind: "file"; readonly name: string };

/** The keys of a store that is open. */
export interface StoreKeys {
  /** Shared by all that seal and open: a change of its keys holds for all of them. */
  readonly secrets: Secrets;
  readonly source: KeySource;
}

export interface KeysOptions {
  /** Where the key file is, unless keys are given. */
  readonly directory: string;
  /** The database, for people; its key file need not be beside it. */
  readonly database: string;
  /** As the operator gave it: a key, or several with commas between, the newest first. */
  readonly secretKey: string | undefined;
  /** What `checkOf` made when the store was made; undefined for a new store, which may get a new key. */
  readonly check: string | undefined;
  readonly random: Random;
}

/**
 * The keys of a store, of which the newest seals: the operator's or those of the key file.
 * @throws StoreOpenError if they are missing, malformed, or none is the one of this store.
 */
export async function openKeys(options: KeysOptions): Promise<StoreKeys> {
  const { directory, database, secretKey, check, random } = options;
  const source: KeySource =
    secretKey === undefined
      ? { kind: "file", name: join(directory, KEY_FILE) }
      : { kind: "given", name: KEY_VARIABLE };
  const text = secretKey ?? (await readKeyFile(source.name, check === undefined, options));
  const keys = parseKeys(text);
  if (!keys)
    throw new StoreOpenError(
      `${source.name} must hold ${KEY_BYTES} bytes as hex or base64, such as "openssl rand -hex ${KEY_BYTES}" prints, or several such keys ${source.kind === "given" ? "with commas between" : "on a line each"}, the newest first`,
    );
  const secrets = new Secrets(keys, random);
  if (check !== undefined && !fits(secrets, check))
    throw new StoreOpenError(
      `${source.name} is not the key that ${database} was encrypted with: give this Pulse that key, or another database`,
    );
  return { secrets, source };
}

/** A text by which a later start knows the key that seals now. */
export function checkOf(secrets: Secrets): string {
  return secrets.seal(CHECKED_TEXT, CHECK_PLACE);
}

/**
 * From now on the key that this check was made with seals. So do all nodes that share a
 * store, whichever of their keys is the newest: some of them may not have that one yet.
 * @throws UnsealError if it is not here
 */
export function sealLike(check: string, secrets: Secrets): void {
  if (!secrets.isCurrent(check)) secrets.sealWith(secrets.keyThatOpens(check, CHECK_PLACE));
}

function fits(secrets: Secrets, check: string): boolean {
  try {
    return secrets.open(check, CHECK_PLACE) === CHECKED_TEXT;
  } catch {
    return false;
  }
}

/** As it is written to a key file. */
export function newKeyText(random: Random): string {
  return randomSecret(random, KEY_BYTES);
}

async function readKeyFile(
  path: string,
  mayCreate: boolean,
  { database, random }: KeysOptions,
): Promise<string> {
  const unreadable = (cause: unknown): never => {
    if (cause instanceof ExposedFileError) throw new StoreOpenError(cause.message, { cause });
    throw new StoreOpenError(
      `${path} cannot be read (${(cause as NodeJS.ErrnoException).code}): it is the key for ${database}, so let Pulse's user read it`,
      { cause },
    );
  };
  if (mayCreate) {
    const create = () => `${newKeyText(random)}\n`;
    return (await readOrCreatePrivateFile(path, create).catch(unreadable)).text;
  }
  const text = await readPrivateFile(path).catch(unreadable);
  if (text !== undefined) return text;
  // A new key would open nothing of what is stored.
  throw new StoreOpenError(
    `${path} is missing, and ${database} is encrypted with a key: restore the file, or set ${KEY_VARIABLE} to that key, which is the same for all Pulses on one database`,
  );
}

/** What to say at an open of credentials that do not open. */
export function sealedForOthers(error: UnsealError, database: string): StoreOpenError {
  const { missingKeyId } = error;
  return new StoreOpenError(
    missingKeyId === undefined
      ? `credentials in ${database} do not belong to their row, someone has changed the database: restore a backup`
      : `credentials in ${database} are encrypted with the key ${missingKeyId}, which this Pulse does not have: give it that key too, after its own, until \`pulse secrets rotate\` says that nothing needs it`,
    { cause: error },
  );
}

/** The texts of the keys in what was given, or in a key file. */
export function keyTexts(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}

/** The keys in it, each once; undefined if there is none, or something that is none. */
export function parseKeys(text: string): readonly Buffer[] | undefined {
  const keys = new Map<string, Buffer>();
  const all = keyTexts(text).map(parseKey);
  forgetLastMatch();
  for (const key of all) {
    if (!key) return undefined;
    keys.set(keyIdOf(key), key);
  }
  return keys.size > 0 ? [...keys.values()] : undefined;
}

/** The 32 bytes of a key written as hex or base64 (of either alphabet), or undefined if it is neither. */
export function parseKey(text: string): Buffer | undefined {
  const trimmed = text.trim();
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, "hex");
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return undefined;
  const key = Buffer.from(trimmed, "base64");
  return key.length === KEY_BYTES ? key : undefined;
}
