import type { z } from "zod";

// What must fit together. These rules look at what is there though something else is
// wrong with it, so that one reading finds all.

type Rule<Value> = (value: Value, context: z.RefinementCtx<Value>) => void;

/**
 * For the second and further ones in a list that have the same text there. Those that are
 * switched off by `enabled: false` may have what others have if `isOffGood`.
 */
export function refuseTwice<Item>(
  list: string,
  key: string,
  identityOf: (text: string) => string = (text) => text,
  isOffGood = false,
): Rule<readonly Item[]> {
  return (items, context) => {
    const places = new Map<string, number>();
    for (const [index, item] of items.entries()) {
      const text = valueAt(item, key);
      if (typeof text !== "string") continue;
      if (isOffGood && valueAt(item, "enabled") === false) continue;
      const identity = identityOf(text);
      const place = places.get(identity);
      if (place === undefined) places.set(identity, index);
      else
        context.addIssue({
          code: "custom",
          path: [index, key],
          message: `is that of ${list}[${place}], too: each needs another`,
        });
    }
  };
}

/** For all but the first of keys that say the same in several ways. */
export function refuseSeveral(keys: readonly string[], what: string): Rule<object> {
  return (map, context) => {
    const [first, ...others] = keys.filter((key) => valueAt(map, key) !== undefined);
    for (const key of others)
      context.addIssue({
        code: "custom",
        path: key.split("."),
        message: `${what} is given by ${first} already: keep one of the two`,
      });
  };
}

/** For `when`: a rule's value may be anything if the schema has refused it. */
export function isMap({ value }: { readonly value: unknown }): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** As `isMap`. */
export function isList({ value }: { readonly value: unknown }): boolean {
  return Array.isArray(value);
}

function valueAt(value: unknown, path: string): unknown {
  let found = value;
  for (const key of path.split("."))
    found = isMap({ value: found }) ? (found as Record<string, unknown>)[key] : undefined;
  return found;
}
