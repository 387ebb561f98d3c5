import { createHash } from "node:crypto";

/**
 * The same UUID for the same text, always and everywhere; another for any other text.
 * Version 8 of RFC 9562, of the text's SHA-256: it tells nothing of the text.
 */
export function stableId(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
