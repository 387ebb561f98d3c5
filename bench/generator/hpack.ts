import { type Header, HeaderTable } from "./hpack-table.js";
import { decodeHuffman } from "./huffman.js";

/** Leading bits of a header's representation (RFC 7541, section 6). */
const INDEXED = 0x80;
const LITERAL_INDEXED = 0x40;
const TABLE_SIZE_UPDATE = 0x20;
const HUFFMAN = 0x80;

/**
 * Writes request headers as a long-lived client does: the first time in full,
 * from then on a byte each. The blocks are kept, so that a repeated request
 * costs the generator next to nothing.
 */
export class HeaderEncoder {
  readonly #table = new HeaderTable();
  readonly #kept = new Map<string, Buffer>();

  /** @param key the same for the same headers */
  encode(key: string, headers: readonly Header[]): Buffer {
    const kept = this.#kept.get(key);
    if (kept) return kept;
    let grew = false;
    const parts = headers.map((header) => {
      const { index, isWhole } = this.#table.find(header);
      if (isWhole) return encodeInteger(INDEXED, 7, index);
      this.#table.add(header);
      grew = true;
      const name = index > 0 ? [] : [encodeString(header.name)];
      return Buffer.concat([
        encodeInteger(LITERAL_INDEXED, 6, index),
        ...name,
        encodeString(header.value),
      ]);
    });
    const block = Buffer.concat(parts);
    if (grew)
      this.#kept.clear(); // the indexes have moved
    else this.#kept.set(key, block);
    return block;
  }
}

/** Reads response headers. It must see every block of its connection, in order. */
export class HeaderDecoder {
  readonly #table = new HeaderTable();
  #block: Uint8Array = new Uint8Array();
  #at = 0;

  /** @throws RangeError if the block is cut short or names what is not there. */
  decode(block: Uint8Array): Header[] {
    this.#block = block;
    this.#at = 0;
    const headers: Header[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0;
      if (first & INDEXED) headers.push(this.#table.at(this.#integer(7)));
      else if (first & LITERAL_INDEXED) {
        const header = this.#literal(6);
        this.#table.add(header);
        headers.push(header);
      } else if (first & TABLE_SIZE_UPDATE) this.#table.resize(this.#integer(5));
      else headers.push(this.#literal(4)); // not indexed, or never indexed
    }
    return headers;
  }

  #literal(prefixBits: number): Header {
    const index = this.#integer(prefixBits);
    const name = index > 0 ? this.#table.at(index).name : this.#string();
    return { name, value: this.#string() };
  }

  #string(): string {
    const isHuffman = ((this.#block[this.#at] ?? 0) & HUFFMAN) !== 0;
    const length = this.#integer(7);
    const bytes = this.#block.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new RangeError("a header block is cut short");
    this.#at += length;
    return isHuffman ? decodeHuffman(bytes) : Buffer.from(bytes).toString("latin1");
  }

  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw new RangeError("a header block is cut short");
    return byte;
  }
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([encodeInteger(0, 7, bytes.length), bytes]);
}

function encodeInteger(leadingBits: number, prefixBits: number, value: number): Buffer {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) return Buffer.from([leadingBits | value]);
  const bytes = [leadingBits | mask];
  let rest = value - mask;
  for (; rest >= 0x80; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
