import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Secrets, UnsealError } from "../../src/lib/sealing.js";
import { seededRandom } from "../support/seeded-random.js";

const key = Buffer.alloc(32, 7);
const secrets = new Secrets(key, seededRandom());

describe("a sealed text", () => {
  it("opens with its key at its place", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string(), (text, place) => {
        expect(secrets.open(secrets.seal(text, place), place)).toBe(text);
      }),
    );
  });

  it("may be bytes that are no text", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(secrets.openBytes(secrets.seal(bytes, "a"), "a")).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it("shows nothing of the text, nor whether two texts are the same", () => {
    const sealed = secrets.seal("geheim", "a");
    expect(Buffer.from(sealed.slice(2), "base64url").includes("geheim")).toBe(false);
    expect(sealed).toMatch(/^1\./);
    const ivs = Array.from({ length: 100 }, () => secrets.seal("geheim", "a").slice(2, 18));
    expect(new Set(ivs).size).toBe(100);
  });

  it.each<[string, (sealed: string) => string]>([
    ["of another place", () => secrets.seal("geheim", "b")],
    ["of another key", () => new Secrets(Buffer.alloc(32, 8), seededRandom()).seal("geheim", "a")],
    [
      "that was changed",
      (sealed) => `${sealed.slice(0, 24)}${sealed[24] === "A" ? "B" : "A"}${sealed.slice(25)}`,
    ],
    ["that was cut", (sealed) => sealed.slice(0, -4)],
    ["of a later format", (sealed) => `2${sealed.slice(1)}`],
    ["that is none", () => "1."],
    ["that is clear text", () => "geheim"],
  ])("%s does not open", (_, change) => {
    expect(() => secrets.open(change(secrets.seal("geheim", "a")), "a")).toThrow(UnsealError);
  });
});

describe("a key", () => {
  it("does not show itself when its holder is logged", () => {
    const shown = inspect(secrets, { depth: 5, showHidden: true }) + JSON.stringify(secrets);
    expect(shown).not.toMatch(/07 07|BwcH|0707/);
  });
});
