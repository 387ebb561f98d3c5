import { describe, expect, test } from "vitest";
import { AuthScheme, AuthSchemeSchema } from "../../gen/pulse/v1/download_client_pb.js";
import { ServiceStatus, ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import {
  enumNumber,
  enumWord,
  enumWords,
  parseApiUrl,
  parseHostPort,
  parseNetworks,
  parsePulseUrl,
  parseWholeNumber,
  readSwitch,
} from "../../src/cli/options.js";

describe("HOST:PORT", () => {
  test.each([
    ["127.0.0.1:9696", { host: "127.0.0.1", port: 9696 }],
    ["localhost:0", { host: "localhost", port: 0 }],
    ["[::1]:9696", { host: "::1", port: 9696 }],
    ["[fe80::1%eth0]:80", { host: "fe80::1%eth0", port: 80 }],
    ["nas.example:65535", { host: "nas.example", port: 65_535 }],
  ])("%s is read", (text, expected) => {
    expect(parseHostPort(text)).toEqual(expected);
  });

  test.each([
    "",
    "9696",
    ":9696",
    "127.0.0.1",
    "::1:9696",
    "[::1]",
    "a:65536",
    "a:-1",
    "a:1x",
    "a b:1",
    "http://a:1",
  ])("%j is refused with an example of what to give", (text) => {
    expect(() => parseHostPort(text)).toThrow(
      /Give HOST:PORT .* 127\.0\.0\.1:9696 or \[::1\]:9696/,
    );
  });
});

describe("Pulse's address", () => {
  test.each([
    ["http://127.0.0.1:9696", "http://127.0.0.1:9696"],
    ["http://127.0.0.1:9696/", "http://127.0.0.1:9696"],
    ["nas:9696", "http://nas:9696"],
    ["[::1]:9696", "http://[::1]:9696"],
    ["nas", "http://nas:9696"],
    ["[::1]", "http://[::1]:9696"],
    ["http://nas", "http://nas"],
    ["https://pulse.example", "https://pulse.example"],
    ["a:9696,b:9696", "http://a:9696,http://b:9696"],
    ["http://a:1, b", "http://a:1,http://b:9696"],
    ["https://a,https://b:1", "https://a,https://b:1"],
  ])("%s is %s", (text, expected) => {
    expect(parsePulseUrl(text)).toBe(expected);
  });

  test.each([
    "",
    "ftp://nas:1",
    "http://",
    "http://nas/pulse",
    "http://nas?x",
    "http://me:pw@nas",
    "nas,",
    "nas,,other",
    "http://a,https://b",
  ])("%j is refused with an example of what to give", (text) => {
    expect(() => parsePulseUrl(text)).toThrow("such as http://127.0.0.1:9696");
    expect(() => parsePulseUrl(text)).toThrow("with commas between, all http or all https");
  });
});

describe("a download client's URL", () => {
  test("keeps its path", () => {
    expect(parseApiUrl("https://nas/qbt/")).toBe("https://nas/qbt/");
  });

  test("with user-info is refused, and the message names the right options and no secret", () => {
    expect(() => parseApiUrl("http://me:pw@nas")).toThrow(
      /^(?!.*pw@).*--username.*--password-file/,
    );
  });

  test.each(["http://nas/?key=1", "http://nas/#a"])("%j has too much to it", (text) => {
    expect(() => parseApiUrl(text)).toThrow("without a query or fragment");
  });

  test.each(["nas:8080", "ftp://nas", "/path"])("%j is refused", (text) => {
    expect(() => parseApiUrl(text)).toThrow("Give an http or https URL");
  });
});

describe("a whole number", () => {
  test.each([
    ["1", 1],
    ["100", 100],
    ["007", 7],
  ])("%j is read", (text, number) => {
    expect(parseWholeNumber(1, 100)(text)).toBe(number);
  });

  test.each(["", "0", "101", "-1", "1.5", "1e1", "x"])("%j is refused with its bounds", (text) => {
    expect(() => parseWholeNumber(1, 100)(text)).toThrow("Give a whole number from 1 to 100.");
  });
});

describe("networks", () => {
  test("come with commas between, or one by one", () => {
    expect(parseNetworks("192.168.1.0/24, fd00::/8")).toEqual(["192.168.1.0/24", "fd00::/8"]);
    expect(parseNetworks("10.0.0.7", ["fd00::/8"])).toEqual(["fd00::/8", "10.0.0.7"]);
  });

  test.each(["", "nas", "10.0.0.0/33", "10.0.0.0/8,", "10.0.0.0/8;::/0"])("%j is none", (text) => {
    expect(() => parseNetworks(text)).toThrow("Give networks such as 192.168.1.0/24");
  });
});

describe("a switch in a variable", () => {
  test.each([
    ["1", true],
    ["true", true],
    ["YES", true],
    ["", false],
    ["0", false],
    ["false", false],
    [undefined, false],
  ])("%j means %s", (text, expected) => {
    expect(readSwitch("PULSE_INSECURE", text === undefined ? {} : { PULSE_INSECURE: text })).toBe(
      expected,
    );
  });

  test("anything else is refused by the variable's name", () => {
    expect(() => readSwitch("PULSE_INSECURE", { PULSE_INSECURE: "on?" })).toThrow(
      "PULSE_INSECURE must be true or false",
    );
  });
});

describe("words for enum values", () => {
  test("leave out the unspecified one and the prefix", () => {
    expect(enumWords(ServiceStatusSchema)).toEqual(["online", "degraded", "offline", "pending"]);
  });

  test("lead to the value and back", () => {
    expect(enumNumber(ServiceStatusSchema, "degraded")).toBe(ServiceStatus.DEGRADED);
    expect(enumWord(AuthSchemeSchema, AuthScheme.PASSWORD_ONLY)).toBe("password-only");
  });

  test("a value of a newer Pulse is unspecified, and no word is any value", () => {
    expect(enumWord(ServiceStatusSchema, 99)).toBe("unspecified");
    expect(enumNumber(ServiceStatusSchema, undefined)).toBe(0);
  });
});
