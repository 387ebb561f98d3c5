import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hash,
  type KeyObject,
} from "node:crypto";
import type { Random } from "./random.js";

const CIPHER = "aes-256-gcm";
/** Length of a key. */
export const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** Hashed together with a key to its id, so that the hash is of use for nothing else. */
const ID_LABEL = "pulse key id";
const ID_DIGITS = 8;
/** `1.TEXT` was sealed before keys had ids · `2.KEYID.TEXT` says with which key. */
const OLD_PREFIX = "1.";
const PREFIX_FORM = /^(?:1|2\.[0-9a-f]{8})\./;

/** A sealed text that no key here made, or not for this place. */
export class UnsealError extends Error {
  override readonly name = "UnsealError";
  /** Set if the text names a key that is not here. */
  readonly missingKeyId: string | undefined;

  constructor(message: string, options?: ErrorOptions & { readonly missingKeyId?: string }) {
    super(message, options);
    this.missingKeyId = options?.missingKeyId;
  }
}

/** The id of a key of 32 bytes: 8 hexadecimal digits that say nothing about the key. */
export function keyIdOf(key: Buffer): string {
  return hash("sha256", Buffer.concat([Buffer.from(ID_LABEL), key])).slice(0, ID_DIGITS);
}

interface Key {
  readonly id: string;
  readonly object: KeyObject; // unlike a Buffer, it does not show itself when it is logged
}

interface Ring {
  readonly keys: readonly Key[];
  /** One of them. */
  readonly sealing: Key;
}

/**
 * Seals what is kept on disk with AES-256-GCM. Each text is bound to its place: moved to
 * another row or file, it does not open. One of the keys seals, all of them open.
 *
 * Each text gets a random IV of 96 bits, for which NIST SP 800-38D (8.3) allows a key at
 * most 2^32 texts; a new key begins anew. A thousand texts a second take 50 days to that.
 */
export class Secrets {
  /** The one place that says which keys there are, and which of them seals. */
  #ring: Ring;
  readonly #random: Random;

  /** @param keys at least one, of 32 bytes each, the newest first: it seals */
  constructor(keys: readonly Buffer[], random: Random) {
    this.#ring = ringOf(keys);
    this.#random = random;
  }

  /** Of the key that seals. */
  get keyId(): string {
    return this.#ring.sealing.id;
  }

  /** Of all keys, the newest first. */
  get keyIds(): readonly string[] {
    return this.#ring.keys.map(({ id }) => id);
  }

  /** From now on these are the keys, the newest first, for all who have this object: it seals. */
  replaceKeys(keys: readonly Buffer[]): void {
    this.#ring = ringOf(keys);
  }

  /** From now on this one of the keys seals. @throws RangeError if it is not here */
  sealWith(keyId: string | undefined): void {
    const sealing = this.#ring.keys.find(({ id }) => id === keyId);
    if (!sealing) throw new RangeError(`there is no key ${keyId} to seal with`);
    this.#ring = { ...this.#ring, sealing };
  }

  /** Whether it says that the key which seals now has sealed it. */
  isCurrent(sealed: string): boolean {
    return sealed.startsWith(prefixOf(this.keyId));
  }

  /** @param place what the content belongs to, the same when it is opened */
  seal(content: string | Uint8Array, place: string): string {
    const { id, object } = this.#ring.sealing;
    const prefix = prefixOf(id);
    const iv = this.#random.bytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, object, iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(boundTo(prefix, place));
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const sealed = [iv, cipher.update(bytes), cipher.final(), cipher.getAuthTag()];
    return prefix + Buffer.concat(sealed).toString("base64url");
  }

  /** The same content sealed anew, by the key that seals now. @throws UnsealError as `openBytes` does */
  reseal(sealed: string, place: string): string {
    return this.seal(this.openBytes(sealed, place), place);
  }

  /** The text that was sealed. @throws UnsealError as `openBytes` does */
  open(sealed: string, place: string): string {
    return this.openBytes(sealed, place).toString("utf8");
  }

  /** @throws UnsealError if another key sealed it, or one of these for another place, or someone changed it. */
  openBytes(sealed: string, place: string): Buffer {
    return this.#open(sealed, place).content;
  }

  /** The id of the key that opens it. @throws UnsealError as `openBytes` does */
  keyThatOpens(sealed: string, place: string): string {
    return this.#open(sealed, place).keyId;
  }

  #open(sealed: string, place: string): { readonly content: Buffer; readonly keyId: string } {
    const prefix = PREFIX_FORM.exec(sealed)?.[0] ?? "";
    const bytes = Buffer.from(sealed.slice(prefix.length), "base64url");
    if (prefix === "" || bytes.length < IV_BYTES + TAG_BYTES)
      throw new UnsealError("this is no sealed text of a format that is known here");
    const isOld = prefix === OLD_PREFIX;
    const keys = this.#ring.keys.filter(({ id }) => isOld || prefix === prefixOf(id));
    if (keys.length === 0) {
      const missingKeyId = prefix.slice(2, -1);
      throw new UnsealError(`the text is sealed with the key ${missingKeyId}, which is not here`, {
        missingKeyId,
      });
    }
    let cause: unknown;
    for (const { id, object } of keys)
      try {
        return { content: decipher(bytes, object, boundTo(prefix, place)), keyId: id };
      } catch (error) {
        cause = error;
      }
    throw new UnsealError("the sealed text does not open with these keys at this place", { cause });
  }
}

function ringOf(all: readonly Buffer[]): Ring {
  const keys = all.map((key) => ({ id: keyIdOf(key), object: createSecretKey(key) }));
  const [sealing] = keys;
  if (!sealing) throw new RangeError("there must be a key");
  return { keys, sealing };
}

function prefixOf(keyId: string): string {
  return `2.${keyId}.`;
}

/** What is authenticated beside the content: the place, and which key and format it claims. */
function boundTo(prefix: string, place: string): Buffer {
  return Buffer.from(prefix === OLD_PREFIX ? place : prefix + place);
}

function decipher(bytes: Buffer, key: KeyObject, bound: Buffer): Buffer {
  const iv = bytes.subarray(0, IV_BYTES);
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(bound);
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES));
  return Buffer.concat([text, decipher.final()]);
}
