import type { z } from "zod";
import type { Problem } from "./config-error.js";
import type { ConfigText, ValuePath } from "./config-text.js";
import { KNOWN_KEYS } from "./schema.js";
import { unknownKey } from "./unknown-key.js";

/** What the schema says of a file, with the places. */
export function schemaProblems(issues: readonly z.core.$ZodIssue[], text: ConfigText): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    if (issue.code !== "unrecognized_keys") return [problemAt(issue.path, issue.message, text)];
    const known = KNOWN_KEYS[nameOf(issue.path)] ?? [];
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return { place: text.placeOfKey(path), field: fieldOf(path), text: unknownKey(key, known) };
    });
  });
}

/** Something that is wrong with a value. */
export function problemAt(path: ValuePath, problem: string, text: ConfigText): Problem {
  return { place: text.placeOf(path), field: fieldOf(path), text: problem };
}

/** Name of the value that holds keys: of items it is that of their list. */
function nameOf(path: ValuePath): string {
  return String(path.findLast((key) => typeof key === "string") ?? "");
}

/** `clients[1].url` */
function fieldOf(path: ValuePath): string {
  return path
    .map((key, i) => (typeof key === "number" ? `[${key}]` : `${i > 0 ? "." : ""}${oneWord(key)}`))
    .join("");
}

/** A key that is none may be anything. */
function oneWord(key: PropertyKey): string {
  return /^[\w.-]{1,64}$/.test(String(key)) ? String(key) : "(a key)";
}
