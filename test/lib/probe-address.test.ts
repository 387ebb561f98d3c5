import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hostOf } from "../../src/lib/host.js";
import { createProbeRule, isNetwork } from "../../src/lib/probe-address.js";

const refuses = createProbeRule();

describe("an address that Pulse never calls", () => {
  it.each([
    ["0.0.0.0", /unspecified/],
    ["0.1.2.3", /unspecified/],
    ["::", /unspecified/],
    ["::ffff:0.0.0.0", /unspecified/],
    ["169.254.0.1", /link-local/],
    ["169.254.255.255", /link-local/],
    ["fe80::1", /link-local/],
    ["fe80::1%eth0", /link-local/],
    ["FEBF:FFFF::1", /link-local/],
    ["[fe80::1]", /link-local/],
    ["::ffff:169.254.7.7", /link-local/],
    ["::169.254.7.7", /link-local/],
    ["::ffff:0:169.254.7.7", /link-local/],
    ["64:ff9b::169.254.7.7", /link-local/],
    ["64:ff9b:1::169.254.7.7", /link-local/],
    ["2002:a9fe:0707::1", /link-local/],
    ["169.254.169.254", /clouds/],
    ["100.100.100.200", /clouds/],
    ["192.0.0.192", /clouds/],
    ["fd00:ec2::254", /clouds/],
    ["fd00:0ec2:0:0:0:0:0:0254", /clouds/],
    ["::ffff:a9fe:a9fe", /clouds/],
    ["64:ff9b::a9fe:a9fe", /clouds/],
    ["224.0.0.1", /multicast/],
    ["239.255.255.250", /multicast/],
    ["ff02::1", /multicast/],
    ["::ffff:224.0.0.251", /multicast/],
    ["255.255.255.255", /broadcast/],
    ["240.0.0.1", /broadcast/],
    ["nas.local", /no IP address/],
    ["", /no IP address/],
    ["1.2.3", /no IP address/],
  ])("%s", (address, why) => {
    expect(refuses(address)).toMatch(why);
  });

  it("whatever --allow-probe says", () => {
    expect(createProbeRule(["0.0.0.0/0", "::/0"])("169.254.169.254")).toMatch(/clouds/);
  });
});

describe("an address where download clients live", () => {
  it.each([
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "172.17.0.2",
    "192.168.1.10",
    "100.64.0.7",
    "100.100.100.201",
    "192.0.0.193",
    "fd12:3456::1",
    "fd00:ec2::253",
    "2001:db8::1",
    "203.0.113.5",
    "::ffff:192.168.1.10",
    "64:ff9b::192.168.1.10",
    "169.253.255.255",
    "169.255.0.0",
    "fec0::1",
  ])("%s", (address) => {
    expect(refuses(address)).toBeUndefined();
  });
});

describe("--allow-probe", () => {
  const rule = createProbeRule(["192.168.1.0/24", "10.0.0.7", "fd00:1::/32"]);

  it.each(["192.168.1.10", "::ffff:192.168.1.10", "10.0.0.7", "fd00:1:2::3"])(
    "lets %s",
    (address) => {
      expect(rule(address)).toBeUndefined();
    },
  );

  it.each(["192.168.2.10", "10.0.0.8", "127.0.0.1", "::1", "fd00:2::3", "64:ff9b::192.168.1.10"])(
    "does not let %s, and says what to do",
    (address) => {
      expect(rule(address)).toMatch(/none of the networks that --allow-probe names: add/);
    },
  );

  it("takes networks, and nothing else", () => {
    for (const text of ["10.0.0.0/8", "10.0.0.7", "::/0", "fd00::/8", "::1", "0.0.0.0/0"])
      expect([text, isNetwork(text)]).toEqual([text, true]);
    for (const text of [
      "",
      "nas",
      "10.0.0.0/33",
      "10.0.0/8",
      "::/129",
      "10.0.0.0/",
      "fe80::1%1/64",
    ])
      expect([text, isNetwork(text)]).toEqual([text, false]);
  });
});

describe("no spelling of a refused address passes", () => {
  const octet = fc.integer({ min: 0, max: 255 });
  const ipv4 = fc
    .oneof(
      fc.tuple(fc.constant(169), fc.constant(254), octet, octet),
      fc.tuple(fc.integer({ min: 224, max: 255 }), octet, octet, octet),
      fc.constantFrom([100, 100, 100, 200], [192, 0, 0, 192], [0, 0, 0, 0]),
    )
    .map((bytes) => bytes as readonly number[]);

  const inBase = (value: number, base: number) =>
    base === 10 ? `${value}` : base === 8 ? `0${value.toString(8)}` : `0X${value.toString(16)}`;
  const bases = fc.array(fc.constantFrom(8, 10, 16), { minLength: 4, maxLength: 4 });
  const fullWidth = (text: string) =>
    text.replace(/[0-9a-fX.]/g, (char) =>
      String.fromCodePoint((char.codePointAt(0) ?? 0) + 0xfee0),
    );
  const percent = (text: string) =>
    text.replace(/./g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`);

  /** 1 to 4 parts, of which the last holds what is left, each in a base of its own. */
  const asUrlHost = fc
    .record({
      bytes: ipv4,
      bases,
      parts: fc.integer({ min: 1, max: 4 }),
      dress: fc.constantFrom((text: string) => text, fullWidth, percent),
      end: fc.constantFrom("", "."),
    })
    .map(({ bytes, bases, parts, dress, end }) => {
      const last = bytes.slice(parts - 1).reduce((sum, byte) => sum * 256 + byte, 0);
      const numbers = [...bytes.slice(0, parts - 1), last];
      return dress(numbers.map((number, i) => inBase(number, bases[i] ?? 10)).join(".")) + end;
    });

  const hex = (high = 0, low = 0) => (high * 256 + low).toString(16);
  const asIpv6 = fc
    .record({
      bytes: ipv4,
      form: fc.constantFrom("::ffff:", "::ffff:0:", "64:ff9b::", "0:0:0:0:0:FFFF:", "64:FF9B:1::"),
      isDotted: fc.boolean(),
    })
    .map(({ bytes: [a, b, c, d], form, isDotted }) =>
      isDotted ? `${form}${[a, b, c, d].join(".")}` : `${form}${hex(a, b)}:${hex(c, d)}`,
    );

  it("in a URL", () => {
    fc.assert(
      fc.property(asUrlHost, (host) => {
        expect([host, refuses(hostOf(new URL(`http://${host}:80/`)))]).not.toContain(undefined);
      }),
      { numRuns: 2_000 },
    );
  });

  it("within an IPv6 address, with or without a URL", () => {
    fc.assert(
      fc.property(asIpv6, (address) => {
        expect([address, refuses(address)]).not.toContain(undefined);
        expect([address, refuses(hostOf(new URL(`http://[${address}]/`)))]).not.toContain(
          undefined,
        );
      }),
      { numRuns: 2_000 },
    );
  });
});
