/** What bencoding can write; a dictionary's keys are ASCII. */
export type Bencodable =
  | number
  | string
  | Uint8Array
  | readonly Bencodable[]
  | { readonly [key: string]: Bencodable };

/** Writes a value as .torrent files and trackers do: keys in order, whole numbers only. */
export function bencode(value: Bencodable): Buffer {
  if (typeof value === "number") return Buffer.from(`i${value}e`);
  if (typeof value === "string") return bencode(Buffer.from(value));
  if (value instanceof Uint8Array)
    return Buffer.concat([Buffer.from(`${value.length}:`), Buffer.from(value)]);
  const [start, parts] = Array.isArray(value)
    ? ["l", value.map(bencode)]
    : [
        "d",
        Object.entries(value as Readonly<Record<string, Bencodable>>)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .flatMap(([key, item]) => [bencode(key), bencode(item)]),
      ];
  return Buffer.concat([Buffer.from(start), ...parts, Buffer.from("e")]);
}
