import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { keyIdOf, Secrets, UnsealError } from "../../src/lib/sealing.js";
import { seededRandom } from "../support/seeded-random.js";

const key = Buffer.alloc(32, 7);
const secrets = new Secrets([key], seededRandom());

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
    expect(Buffer.from(sealed.slice(11), "base64url").includes("geheim")).toBe(false);
    expect(sealed).toMatch(/^2\.[0-9a-f]{8}\.[\w-]+$/);
    const ivs = Array.from({ length: 100 }, () => secrets.seal("geheim", "a").slice(11, 27));
    expect(new Set(ivs).size).toBe(100);
  });

  it.each<[string, (sealed: string) => string]>([
    ["of another place", () => secrets.seal("geheim", "b")],
    [
      "of another key",
      () => new Secrets([Buffer.alloc(32, 8)], seededRandom()).seal("geheim", "a"),
    ],
    [
      "that was changed",
      (sealed) => `${sealed.slice(0, 34)}${sealed[34] === "A" ? "B" : "A"}${sealed.slice(35)}`,
    ],
    ["that was cut", (sealed) => sealed.slice(0, -4)],
    ["of a later format", (sealed) => `3${sealed.slice(1)}`],
    ["that claims to be of the old format", (sealed) => `1.${sealed.slice(11)}`],
    ["that is none", () => "1."],
    ["that has no more than a key's id", (sealed) => sealed.slice(0, 11)],
    ["that is clear text", () => "geheim"],
  ])("%s does not open", (_, change) => {
    expect(() => secrets.open(change(secrets.seal("geheim", "a")), "a")).toThrow(UnsealError);
  });
});

describe("a text of the old format, without a key's id", () => {
  // Sealed by the release before keys had ids, with that key at the place "a".
  const OLD = "1.bd-uYSFfLJ8e3CVP9hRxHKqtEIm-DLRfwi_d5NE0m5ThZg";

  it("opens with whichever of the keys made it", () => {
    expect(secrets.open(OLD, "a")).toBe("geheim");
    const later = new Secrets([Buffer.alloc(32, 8), key], seededRandom());
    expect(later.open(OLD, "a")).toBe("geheim");
    expect(later.keyThatOpens(OLD, "a")).toBe(keyIdOf(key));
    expect(later.isCurrent(OLD)).toBe(false);
  });

  it("opens at its place only, and with its key only", () => {
    expect(() => secrets.open(OLD, "b")).toThrow(UnsealError);
    expect(() => new Secrets([Buffer.alloc(32, 8)], seededRandom()).open(OLD, "a")).toThrow(
      UnsealError,
    );
  });
});

describe("several keys", () => {
  const [newer, older] = [Buffer.alloc(32, 8), key];
  const both = () => new Secrets([newer, older], seededRandom());

  it("all open, and the first seals", () => {
    const ring = both();
    expect(ring.keyIds).toEqual([newer, older].map(keyIdOf));
    const sealed = ring.seal("geheim", "a");
    expect(sealed.startsWith(`2.${keyIdOf(newer)}.`)).toBe(true);
    expect(ring.open(sealed, "a")).toBe("geheim");
    expect(ring.open(secrets.seal("geheim", "a"), "a")).toBe("geheim");
    expect([ring.isCurrent(sealed), ring.isCurrent(secrets.seal("", "a"))]).toEqual([true, false]);
  });

  it("seal with the one that is told, and open with all of them still", () => {
    const ring = both();
    const before = ring.seal("geheim", "a");
    ring.sealWith(keyIdOf(older));
    expect(ring.keyId).toBe(keyIdOf(older));
    expect(secrets.open(ring.seal("geheim", "a"), "a")).toBe("geheim");
    expect(ring.open(before, "a")).toBe("geheim");
    expect(() => ring.sealWith("00000000")).toThrow(RangeError);
  });

  it("seal anew what an older one sealed, bytes and all", () => {
    const ring = both();
    const bytes = Buffer.from([0, 255, 128]);
    const resealed = ring.reseal(secrets.seal(bytes, "a"), "a");
    expect(new Secrets([newer], seededRandom()).openBytes(resealed, "a")).toEqual(bytes);
    expect(() => secrets.open(resealed, "a")).toThrow(UnsealError);
  });

  it("are replaced for everybody who has them", () => {
    const ring = both();
    const sealed = secrets.seal("geheim", "a");
    ring.replaceKeys([newer]);
    expect(ring.keyIds).toEqual([keyIdOf(newer)]);
    expect(() => ring.open(sealed, "a")).toThrow(
      expect.objectContaining({ name: "UnsealError", missingKeyId: keyIdOf(older) }),
    );
  });

  it("are not confused by a text that claims another key", () => {
    const ring = both();
    const claims = ring.seal("geheim", "a").replace(keyIdOf(newer), keyIdOf(older));
    expect(() => ring.open(claims, "a")).toThrow(UnsealError);
  });
});

describe("a key's id", () => {
  it("is the same for ever, and another for each key", () => {
    expect(keyIdOf(key)).toBe("ac3852aa");
    expect(keyIdOf(Buffer.alloc(32, 8))).not.toBe(keyIdOf(key));
  });
});

describe("a key", () => {
  it("does not show itself when its holder is logged", () => {
    const shown = inspect(secrets, { depth: 5, showHidden: true }) + JSON.stringify(secrets);
    expect(shown).not.toMatch(/07 07|BwcH|0707/);
  });
});
