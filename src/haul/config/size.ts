const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** How a size is written: the whole text. */
export const SIZE_PATTERN = /^(\d{1,12}(?:\.\d{1,3})?) ?([KMGT]i?B|B)$/;

/** Bytes of a text such as `5GiB`, `1.5 TB` or `500 MB`; undefined if it is none, or above 2^53. */
export function sizeBytes(text: string): number | undefined {
  const [, count, unit = ""] = SIZE_PATTERN.exec(text) ?? [];
  const bytes = Math.round(Number(count) * (UNITS[unit] ?? Number.NaN));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
