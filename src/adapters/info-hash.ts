import { createHash } from "node:crypto";

/** Where a value is: from its first byte to the one after its last. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** The begin of a dictionary or list, the end of one, a number, or the length of a text. */
const TOKEN = /[dle]|i-?\d{1,20}e|(\d{1,10}):/y;

/**
 * The id by which a swarm knows a torrent of version 1: the SHA-1 of its info
 * dictionary, byte for byte as it is, in lower-case hexadecimal digits.
 * @returns undefined if these bytes are no torrent, or one of version 2 or of both
 *   versions: the programs do not agree on what such a one is called.
 */
export function infoHash(torrent: Uint8Array): string | undefined {
  const bytes = Buffer.from(torrent.buffer, torrent.byteOffset, torrent.byteLength);
  const source = bytes.toString("latin1"); // one character for each byte
  const info = valuesOf(source, 0)?.get("info");
  const about = info && valuesOf(source, info.start);
  if (!about?.has("pieces") || about.has("meta version")) return undefined;
  return createHash("sha1").update(bytes.subarray(info?.start, info?.end)).digest("hex");
}

/** The values of the dictionary that begins at `start`; undefined if none does. */
function valuesOf(source: string, start: number): Map<string, Span> | undefined {
  if (source[start] !== "d") return undefined;
  const values = new Map<string, Span>();
  let at = start + 1;
  while (source[at] !== "e") {
    const keyEnd = endOf(source, at);
    const end = keyEnd && endOf(source, keyEnd);
    if (!end) return undefined;
    const key = source.slice(source.indexOf(":", at) + 1, keyEnd);
    values.set(key, { start: keyEnd, end });
    at = end;
  }
  return values;
}

/** Where the value that begins at `start` ends; undefined if none does. */
function endOf(source: string, start: number): number | undefined {
  let at = start;
  let depth = 0;
  do {
    TOKEN.lastIndex = at;
    const [mark, length = "0"] = TOKEN.exec(source) ?? [];
    if (mark === undefined) return undefined;
    if (mark === "d" || mark === "l") depth++;
    if (mark === "e") depth--;
    at += mark.length + Number(length);
  } while (depth > 0);
  return depth === 0 && at <= source.length ? at : undefined;
}
