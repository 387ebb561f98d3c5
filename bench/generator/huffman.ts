/**
 * The Huffman code of HPACK (RFC 7541, appendix B), to read what servers send.
 * It is canonical, so the lengths say all: codes of one length count up in the
 * order of their symbols. Only the NUL and printable ASCII are here: what gRPC
 * puts in headers is never anything else.
 */
const SYMBOLS_BY_LENGTH: ReadonlyMap<number, string> = new Map([
  [5, "012aceiost"],
  [6, " %-./3456789=A_bdfghlmnpru"],
  [7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"],
  [8, "&*,;XZ"],
  [10, '!"()?'],
  [11, "'+|"],
  [12, "#>"],
  [13, "\0$@[]~"],
  [14, "^}"],
  [15, "<`{"],
]);

/** By length and code in one number: `1` and then the bits of the code. */
const SYMBOLS = assignCodes();

const PADDING_BITS_AT_MOST = 7;

export function decodeHuffman(bytes: Uint8Array): string {
  let text = "";
  let code = 1;
  let bits = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1);
      bits++;
      const symbol = SYMBOLS.get(code);
      if (symbol === undefined) continue;
      text += symbol;
      code = 1;
      bits = 0;
    }
  }
  return bits > PADDING_BITS_AT_MOST ? `${text}…` : text; // a symbol that is not in the table
}

function assignCodes(): Map<number, string> {
  const symbols = new Map<number, string>();
  let next = 0;
  let length = 0;
  for (const [symbolLength, ofThisLength] of SYMBOLS_BY_LENGTH) {
    next <<= symbolLength - length;
    length = symbolLength;
    for (const symbol of ofThisLength) symbols.set((1 << length) | next++, symbol);
  }
  return symbols;
}
