import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ExposedFileError, readOrCreatePrivateFile, readPrivateFile } from "../lib/private-file.js";
import { type Random, randomSecret } from "../lib/random.js";
import { KEY_BYTES, Secrets } from "../lib/sealing.js";
import { StoreOpenError } from "./store.js";

const KEY_FILE = "secret.key";
const CHECKED_TEXT = "pulse";
const CHECK_PLACE = "clock.key_check";

export interface SecretsOptions {
  /** Where the key file is, unless a key is given. */
  readonly directory: string;
  /** The database, for people; its key file need not be beside it. */
  readonly database: string;
  /** As the operator gave it. */
  readonly secretKey: string | undefined;
  /** What `checkOf` made when the store was made; undefined for a new store, which may get a new key. */
  readonly check: string | undefined;
  readonly random: Random;
}

/**
 * The secrets of a store, with the operator's key or that of the key file.
 * @throws StoreOpenError if the key is missing, malformed, or not the one of this store.
 */
export async function openSecrets(options: SecretsOptions): Promise<Secrets> {
  const { directory, database, secretKey, check, random } = options;
  const source = secretKey === undefined ? join(directory, KEY_FILE) : "PULSE_SECRET_KEY";
  const text = secretKey ?? (await readKeyFile(source, check === undefined, options));
  const key = parseKey(text);
  if (!key)
    throw new StoreOpenError(
      `${source} must hold ${KEY_BYTES} bytes as hex or base64, such as "openssl rand -hex ${KEY_BYTES}" prints`,
    );
  const secrets = new Secrets(key, random);
  if (check !== undefined && !fits(secrets, check))
    throw new StoreOpenError(
      `${source} is not the key that ${database} was encrypted with: give this Pulse that key, or another database`,
    );
  return secrets;
}

/** A text by which a later start knows this key again. */
export function checkOf(secrets: Secrets): string {
  return secrets.seal(CHECKED_TEXT, CHECK_PLACE);
}

function fits(secrets: Secrets, check: string): boolean {
  try {
    return secrets.open(check, CHECK_PLACE) === CHECKED_TEXT;
  } catch {
    return false;
  }
}

async function readKeyFile(
  path: string,
  mayCreate: boolean,
  { database, random }: SecretsOptions,
): Promise<string> {
  const unreadable = (cause: unknown): never => {
    if (cause instanceof ExposedFileError) throw new StoreOpenError(cause.message, { cause });
    throw new StoreOpenError(
      `${path} cannot be read (${(cause as NodeJS.ErrnoException).code}): it is the key for ${database}, so let Pulse's user read it`,
      { cause },
    );
  };
  if (mayCreate) {
    const create = () => `${randomSecret(random, KEY_BYTES)}\n`;
    const { text } = await readOrCreatePrivateFile(path, create).catch(unreadable);
    await syncDirectory(dirname(path));
    return text;
  }
  const text = await readPrivateFile(path).catch(unreadable);
  if (text !== undefined) return text;
  // A new key would open nothing of what is stored.
  throw new StoreOpenError(
    `${path} is missing, and ${database} is encrypted with a key: restore the file, or set PULSE_SECRET_KEY to that key, which is the same for all Pulses on one database`,
  );
}

/** Or a power failure could leave the database and take the key file made just before it. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory);
  await handle.sync().finally(() => handle.close());
}

/** The 32 bytes of a key written as hex or base64 (of either alphabet), or undefined if it is neither. */
export function parseKey(text: string): Buffer | undefined {
  const trimmed = text.trim();
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, "hex");
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return undefined;
  const key = Buffer.from(trimmed, "base64");
  return key.length === KEY_BYTES ? key : undefined;
}
