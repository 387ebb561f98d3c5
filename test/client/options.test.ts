import { expect, it } from "vitest";
import { parsePulseAddress } from "../../src/client/options.js";

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
