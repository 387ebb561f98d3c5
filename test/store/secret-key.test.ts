import { describe, expect, it } from "vitest";
import { parseKey } from "../../src/store/secret-key.js";

const key = Buffer.alloc(32, 7);

describe("a key", () => {
  it.each([
    key.toString("hex"),
    key.toString("hex").toUpperCase(),
    key.toString("base64"),
    key.toString("base64url"),
    ` ${key.toString("hex")}\n`,
  ])("is read from %j", (text) => expect(parseKey(text)).toEqual(key));

  it.each([
    "",
    "0707",
    key.toString("hex").slice(1),
    key.toString("base64").slice(1),
    `${key.toString("hex")}07`,
    "!".repeat(43),
  ])("is not read from %j", (text) => expect(parseKey(text)).toBeUndefined());
});
