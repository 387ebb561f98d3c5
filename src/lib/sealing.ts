import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import type { Random } from "./random.js";

const CIPHER = "aes-256-gcm";
/** Length of a key. */
export const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** Format and key of a sealed text, so that another of either can come later. */
const PREFIX = "1.";

/** A sealed text that this key did not make, or not for this place. */
export class UnsealError extends Error {
  override readonly name = "UnsealError";
}

/**
 * Seals what is kept on disk with AES-256-GCM. Each text gets an IV of its own,
 * and is bound to its place: moved to another row or file, it does not open.
 */
export class Secrets {
  readonly #key: KeyObject; // unlike a Buffer, it does not show itself when it is logged
  readonly #random: Random;

  /** @param key 32 bytes */
  constructor(key: Buffer, random: Random) {
    this.#key = createSecretKey(key);
    this.#random = random;
  }

  /** @param place what the content belongs to, the same when it is opened */
  seal(content: string | Uint8Array, place: string): string {
    const iv = this.#random.bytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(place));
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const sealed = [iv, cipher.update(bytes), cipher.final(), cipher.getAuthTag()];
    return PREFIX + Buffer.concat(sealed).toString("base64url");
  }

  /** The text that was sealed. @throws UnsealError as `openBytes` does */
  open(sealed: string, place: string): string {
    return this.openBytes(sealed, place).toString("utf8");
  }

  /** @throws UnsealError if another key sealed it, or this one for another place, or someone changed it. */
  openBytes(sealed: string, place: string): Buffer {
    const bytes = Buffer.from(sealed.slice(PREFIX.length), "base64url");
    if (!sealed.startsWith(PREFIX) || bytes.length < IV_BYTES + TAG_BYTES)
      throw new UnsealError("this is no sealed text of a format that is known here");
    const iv = bytes.subarray(0, IV_BYTES);
    const decipher = createDecipheriv(CIPHER, this.#key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const text = decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]);
    } catch (cause) {
      throw new UnsealError("the sealed text does not open with this key at this place", { cause });
    }
  }
}
