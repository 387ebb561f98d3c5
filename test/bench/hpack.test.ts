import { describe, expect, it } from "vitest";
import { HeaderDecoder, HeaderEncoder } from "../../bench/generator/hpack.js";
import { decodeHuffman } from "../../bench/generator/huffman.js";

const HEADERS = [
  { name: ":method", value: "POST" },
  { name: ":path", value: "/pulse.v1.RegistryService/Register" },
  { name: "authorization", value: "Bearer pulse_token" },
];

describe("HPACK", () => {
  it("reads Huffman code (RFC 7541, C.6.1)", () => {
    const bytes = Buffer.from("9d29ad171863c78f0b97c8e9ae82ae43d3", "hex");
    expect(decodeHuffman(bytes)).toBe("https://www.example.com");
  });

  it("reads responses that refer to earlier ones (RFC 7541, C.6)", () => {
    const decoder = new HeaderDecoder();
    const first =
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3";
    const headers = decoder.decode(Buffer.from(first, "hex"));
    expect(headers.map(({ name }) => name)).toEqual([
      ":status",
      "cache-control",
      "date",
      "location",
    ]);
    expect(headers[2]?.value).toBe("Mon, 21 Oct 2013 20:13:21 GMT");
    const [status, ...rest] = decoder.decode(Buffer.from("4883640effc1c0bf", "hex"));
    expect(status).toEqual({ name: ":status", value: "307" });
    expect(rest).toEqual(headers.slice(1));
  });

  it("writes what it reads, and every header in one byte once it was sent", () => {
    const encoder = new HeaderEncoder();
    const decoder = new HeaderDecoder();
    const blocks = [1, 2, 3].map(() => encoder.encode("register", HEADERS));
    for (const block of blocks) expect(decoder.decode(block)).toEqual(HEADERS);
    expect(blocks[1]).toHaveLength(HEADERS.length);
  });

  it("sends another path in full without losing the rest", () => {
    const encoder = new HeaderEncoder();
    const decoder = new HeaderDecoder();
    decoder.decode(encoder.encode("register", HEADERS));
    const other = HEADERS.map((header) =>
      header.name === ":path" ? { ...header, value: "/other" } : header,
    );
    expect(decoder.decode(encoder.encode("other", other))).toEqual(other);
    expect(decoder.decode(encoder.encode("register", HEADERS))).toEqual(HEADERS);
  });

  it("refuses a block that is cut short", () => {
    expect(() => new HeaderDecoder().decode(Buffer.from("4882", "hex"))).toThrow(RangeError);
  });
});
