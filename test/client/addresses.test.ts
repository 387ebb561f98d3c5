import { describe, expect, it } from "vitest";
import { parsePulseAddress, parsePulseAddresses } from "../../src/client/addresses.js";

it.each([
  ["pulse", "http://pulse:9696"],
  ["pulse:1234", "http://pulse:1234"],
  ["pulse:80", "http://pulse:80"],
  ["127.0.0.1:9696", "http://127.0.0.1:9696"],
  ["[::1]:9696", "http://[::1]:9696"],
  ["[::1]", "http://[::1]:9696"],
  ["http://pulse:9696/", "http://pulse:9696"],
  ["http://pulse", "http://pulse:80"],
  ["https://pulse.lan", "https://pulse.lan:443"],
])("reads the address %s as %s", (text, address) => {
  expect(parsePulseAddress(text)).toBe(address);
});

describe("several addresses", () => {
  it.each([
    ["a", ["http://a:9696"]],
    ["a,b", ["http://a:9696", "http://b:9696"]],
    ["a:9696,b:1", ["http://a:9696", "http://b:1"]],
    [" http://a:9696 ,\n\thttp://[::1]:2 ", ["http://a:9696", "http://[::1]:2"]],
    ["https://a,https://b:9696", ["https://a:443", "https://b:9696"]],
    ["a,http://a:9696/,a:9696,b", ["http://a:9696", "http://b:9696"]],
  ])("%j are %j", (text, addresses) => {
    expect(parsePulseAddresses(text)).toEqual(addresses);
  });

  it.each([
    ["", /^pulse is empty: give the address/],
    ["a,,b", /^pulse has an empty address between its commas: give/],
    ["a,", /^pulse has an empty address/],
    [",", /^pulse has an empty address/],
    ["https://a,http://b", /^pulse mixes http and https: give all its addresses the same scheme/],
    ["https://a,b", /^pulse mixes http and https/],
    ["a,b/path", /^pulse must not have a path/],
    ["a,http://me:s3cret@b", /^pulse must not contain a user or password/],
    ["a,ftp://b", /^pulse is not an address/],
    [undefined as unknown as string, /^pulse is empty/],
    [["a"] as unknown as string, /^pulse is empty/],
  ])("%j is refused", (text, message) => {
    expect(() => parsePulseAddresses(text)).toThrow(TypeError);
    expect(() => parsePulseAddresses(text)).toThrow(message);
    expect(() => parsePulseAddresses(text)).not.toThrow(/s3cret/);
  });
});
