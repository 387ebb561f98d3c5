/** The longest line, but for an escaped byte at its end. */
const LINE = 128;
const [NUL, LF, CR, DOT, ESCAPE] = [0x00, 0x0a, 0x0d, 0x2e, 0x3d];

/** Bytes as yEnc writes them into an article: lines that end with CRLF, no dot at the start of one. */
export function yencode(data: Uint8Array): Buffer {
  const text = Buffer.allocUnsafe(2 * data.length + 2 * Math.ceil((2 * data.length) / LINE));
  let [length, column] = [0, 0];
  const write = (...bytes: readonly number[]) => {
    for (const byte of bytes) text[length++] = byte;
    column += bytes.length;
  };
  const endLine = () => {
    write(CR, LF);
    column = 0;
  };
  for (const byte of data) {
    const written = (byte + 42) % 256;
    if (mustBeEscaped(written, column)) write(ESCAPE, (written + 64) % 256);
    else write(written);
    if (column >= LINE) endLine();
  }
  if (column > 0) endLine();
  return text.subarray(0, length);
}

function mustBeEscaped(byte: number, column: number): boolean {
  if (byte === DOT) return column === 0;
  return byte === NUL || byte === LF || byte === CR || byte === ESCAPE;
}

const CRC_OF_BYTE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** CRC-32 as eight hexadecimal digits. */
export function crc32(data: Uint8Array): string {
  let crc = 0xffffffff;
  for (const byte of data) crc = (CRC_OF_BYTE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (~crc >>> 0).toString(16).padStart(8, "0");
}
