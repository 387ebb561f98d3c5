import { expect, it } from "vitest";
import {
  hostOf,
  inUrl,
  isLoopbackHost,
  isUnspecifiedHost,
  withoutMapping,
} from "../../src/lib/host.js";

it.each(["localhost", "::1", "127.0.0.1", "127.255.255.255"])("%s is loopback", (host) => {
  expect(isLoopbackHost(host)).toBe(true);
});

it.each([
  "",
  "nas",
  "127.example.com",
  "127.0.0.1.example.com",
  "127.0.0.256",
  "127.0.0",
  "128.0.0.1",
  "[::1]",
])("%j is not surely loopback", (host) => {
  expect(isLoopbackHost(host)).toBe(false);
});

it.each([
  "http://0.0.0.0",
  "http://0:80",
  "http://[::]",
  "http://[0::0]",
  "http://[::ffff:0.0.0.0]",
])("%s names no address to connect to", (url) => {
  expect(isUnspecifiedHost(hostOf(new URL(url)))).toBe(true);
});

it("an IPv6 address loses its brackets", () => {
  expect(hostOf(new URL("http://[fd00::1]:80/x"))).toBe("fd00::1");
});

it.each([
  ["nas.local", "nas.local"],
  ["127.0.0.1", "127.0.0.1"],
  ["::1", "[::1]"],
])("%s stands in a URL as %s", (host, text) => expect(inUrl(host)).toBe(text));

it.each([
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["::FFFF:10.0.0.1", "10.0.0.1"],
  ["10.0.0.1", "10.0.0.1"],
  ["::ffff:a00:1", "::ffff:a00:1"],
  ["fd00::1", "fd00::1"],
  ["", ""],
])("%s is written as %s", (address, written) => {
  expect(withoutMapping(address)).toBe(written);
});
