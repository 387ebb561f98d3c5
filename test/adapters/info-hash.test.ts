import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { infoHash } from "../../src/adapters/info-hash.js";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const torrent = (info: string): Uint8Array => bytes(`d8:announce3:url4:info${info}7:privatei1ee`);

describe("the info hash", () => {
  it("is the SHA-1 of the info dictionary, whatever bytes are in it", () => {
    const info = "d6:lengthi20000e4:name3:one12:piece lengthi16384e6:pieces4:\x00\xff4ee";
    const sha1 = createHash("sha1").update(info, "latin1").digest("hex");
    expect(infoHash(torrent(info))).toBe(sha1);
    const within = bytes(`......d4:info${info}e`).subarray(6);
    expect(infoHash(within)).toBe(sha1);
  });

  it.each([
    ["of version 2", "d9:file treede12:meta versioni2e4:name3:onee"],
    ["of both versions", "d12:meta versioni2e4:name3:one6:pieces1:xe"],
    ["without pieces", "d4:name3:onee"],
    ["whose info is no dictionary", "l6:pieces1:xe"],
  ])("is not told of a torrent %s", (_, info) => {
    expect(infoHash(torrent(info))).toBeUndefined();
  });

  it.each([
    ["nothing", ""],
    ["text", "<html>"],
    ["one that ends early", "d4:infod6:pieces9:x"],
    ["one without its last end", "d4:infod6:pieces1:xe"],
    ["a length past the end", "d4:infod6:pieces99999999:xee"],
    ["ends that nothing began", "d4:infoeee"],
    ["a key that is a list", "dlee"],
    ["a hundred thousand lists", `d4:info${"l".repeat(100_000)}`],
  ])("is not told of %s", (_, source) => {
    expect(infoHash(bytes(source))).toBeUndefined();
  });
});
