/** The longest line, but for an escaped byte at its end. */
const LINE = 128;
const [NUL, LF, CR, DOT, ESCAPE] = [0x00, 0x0a, 0x0d, 0x2e, 0x3d];

/** Bytes as yEnc writes them into an article: lines that end with CRLF, no dot at the start of one. */
export function yencode(data: Uint8Array): Buffer {
  const text: number[] = [];
  let column = 0;
  for (const byte of data) {
    const written = (byte + 42) % 256;
    if (
      written === NUL ||
      written === LF ||
      written === CR ||
      written === ESCAPE ||
      (written === DOT && column === 0)
    ) {
      text.push(ESCAPE, (written + 64) % 256);
      column += 2;
    } else {
      text.push(written);
      column += 1;
    }
    if (column >= LINE) {
      text.push(CR, LF);
      column = 0;
    }
  }
  if (column > 0) text.push(CR, LF);
  return Buffer.from(text);
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
