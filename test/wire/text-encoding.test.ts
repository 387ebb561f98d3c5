import { getTextEncoding } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeTextWithBuffer } from "../../src/wire/text-encoding.js";

it("every text has the bytes that it had before, lone surrogates too", () => {
  const before = getTextEncoding().encodeUtf8;
  encodeTextWithBuffer();
  const { encodeUtf8 } = getTextEncoding();
  expect(encodeUtf8).not.toBe(before);
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\ud800", "a\udfffb", "ü€😀"),
  );
  fc.assert(
    fc.property(texts, (text) => {
      expect(Buffer.compare(encodeUtf8(text), before(text))).toBe(0);
    }),
  );
});
