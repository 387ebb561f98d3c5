const sizes = new WeakMap<object, number>();

/** The characters in a record, which never changes; each has three bytes at most. Counted once. */
export function sizeOf(record: object): number {
  let size = sizes.get(record);
  if (size === undefined) {
    size = charactersIn(record);
    sizes.set(record, size);
  }
  return size;
}

function charactersIn(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 1;
  return Object.entries(value).reduce(
    (sum, [key, inner]) => sum + key.length + charactersIn(inner),
    0,
  );
}
