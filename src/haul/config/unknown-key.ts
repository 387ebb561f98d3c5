/** Of a key that is none: what to do. The key itself is named by its place. */
export function unknownKey(key: string, known: readonly string[]): string {
  if (key === "<<")
    return "is not understood here: write the keys out, or use an alias for a value";
  const secret = known.includes("password_file") && SECRETS[plain(key)];
  if (secret)
    return `is a secret in the file itself: put it alone into a file and name that with ${secret}_file, or name a variable with ${secret}_env`;
  const nearest = nearestOf(key, known);
  return nearest
    ? `is not known: did you mean ${nearest}?`
    : `is not known: the keys here are ${known.join(", ")}`;
}

/** What people write for a secret, and the begin of the keys that take it. */
const SECRETS: Readonly<Record<string, string>> = {
  password: "password",
  passwd: "password",
  pass: "password",
  secret: "password",
  rpcsecret: "api_key",
  apikey: "api_key",
  key: "api_key",
  token: "api_key",
};

/** Undefined if all differ by more than a slip of the finger. */
function nearestOf(key: string, known: readonly string[]): string | undefined {
  if (key.length > 64) return undefined;
  const [nearest] = known
    .map((each) => ({ each, distance: distance(plain(key), plain(each)) }))
    .filter(({ each, distance }) => distance <= Math.max(1, each.length / 4))
    .sort((a, b) => a.distance - b.distance);
  return nearest?.each;
}

/** As people tell keys apart: `minFree`, `min-free` and `min_free` are one. */
function plain(key: string): string {
  return key.replace(/[-_ ]/g, "").toLowerCase();
}

/** Letters to insert, remove, replace or swap with the next. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const at = (up: number, left: number) => (rows[i - up] ?? row)[j - left] ?? 0;
      const replaced = at(1, 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(at(1, 0) + 1, (row[j - 1] ?? 0) + 1, replaced, isSwap ? at(2, 2) + 1 : replaced),
      );
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] ?? 0;
}
