import { describe, expect, it } from "vitest";
import { parseKey, parseKeys } from "../../src/store/secret-key.js";

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

describe("several keys", () => {
  const [hex, other] = [key.toString("hex"), Buffer.alloc(32, 8)];

  it.each([
    `${hex},${other.toString("base64")}`,
    ` ${hex} , ${other.toString("hex")},`,
    `${hex}\n${other.toString("base64url")}\n`,
    `${hex}\r\n\r\n${other.toString("hex")}`,
    `${hex},${other.toString("hex")},${key.toString("base64")}`,
  ])("are read from %j, in their order and each once", (text) =>
    expect(parseKeys(text)).toEqual([key, other]),
  );

  it.each(["", " ,\n", `${hex},0707`, `${hex}${hex}`, `${hex};${hex}`])(
    "are not read from %j",
    (text) => expect(parseKeys(text)).toBeUndefined(),
  );
});
