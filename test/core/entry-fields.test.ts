import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Access, OperatorFields, Target } from "../../src/core/entry.js";
import { checkAccess, checkOperatorFields, checkTarget } from "../../src/core/entry-fields.js";
import type { FieldViolation } from "../../src/core/errors.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";

/** The fields that are refused, each with what is said of it. */
function refused(check: (violations: FieldViolation[]) => unknown): string[] {
  const violations: FieldViolation[] = [];
  check(violations);
  return violations.map(({ field, description }) => `${field}: ${description}`);
}
const refusedFields = (fields: Partial<OperatorFields>) =>
  refused((violations) => checkOperatorFields(violations, "download_client", fields));
const refusedAccess = (fields: Partial<Access>) =>
  refused((violations) => checkAccess(violations, "at", fields));

/** Lists within each other, so many levels in all, with the object around them. */
function nested(levels: number): OperatorFields["settings"] {
  let value: unknown = [];
  for (let level = 3; level <= levels; level++) value = [value];
  return { a: value };
}

describe("operator-owned fields", () => {
  it("that are absent are not looked at", () => expect(refusedFields({})).toEqual([]));

  it.each<[string, Partial<OperatorFields>]>([
    ["a name of 128 characters", { name: "😀".repeat(128) }],
    ["the lowest priority", { priority: 1 }],
    ["the highest priority", { priority: 100 }],
    ["empty texts", { category: "", directory: "" }],
    ["long texts", { category: "x".repeat(128), directory: "x".repeat(1_024) }],
    ["64 tags", { tags: Array.from({ length: 64 }, (_, i) => `${i}`.padEnd(64, "x")) }],
    ["settings of 64 KiB", { settings: { a: "x".repeat(65_536 - 8) } }],
    ["settings with any characters", { settings: { "\0": "😀\0", ["__proto__"]: 1 } }],
    ["settings of 32 levels", { settings: nested(32) }],
  ])("may be %s", (_, fields) => expect(refusedFields(fields)).toEqual([]));

  it.each<[string, Partial<OperatorFields>]>([
    ["name: is required", { name: "" }],
    ["name: must have at most 128 characters", { name: "x".repeat(129) }],
    [
      "name: must be a name without a space at either end and without marks that turn the reading direction",
      { name: " x" },
    ],
    [
      "name: must be a name without a space at either end and without marks that turn the reading direction",
      { name: "a\u202eb" },
    ],
    [
      "tags[0]: must be a name without a space at either end and without marks that turn the reading direction",
      { tags: [" a"] },
    ],
    [
      "settings: must not contain half a character (a lone surrogate)",
      { settings: { a: ["\ud800x"] } },
    ],
    [
      "settings: must not contain half a character (a lone surrogate)",
      { settings: { "\udfff": 1 } },
    ],
    ["name: must not contain control characters", { name: "x\0y" }],
    ["priority: must be from 1 to 100", { priority: 0 }],
    ["priority: must be from 1 to 100", { priority: 101 }],
    ["priority: must be from 1 to 100", { priority: Number.NaN }],
    ["category: must have at most 128 characters", { category: "x".repeat(129) }],
    ["directory: must have at most 1024 characters", { directory: "x".repeat(1_025) }],
    ["directory: must not contain control characters", { directory: "/a\n" }],
    ["tags: must have at most 64 items", { tags: Array.from({ length: 65 }, (_, i) => `${i}`) }],
    ["tags[1]: is required", { tags: ["a", ""] }],
    ["tags[2]: repeats an earlier one", { tags: ["a", "b", "a"] }],
    ["tags[0]: must have at most 64 characters", { tags: ["x".repeat(65)] }],
    ["settings: must have at most 65536 bytes as JSON", { settings: { a: "x".repeat(65_529) } }],
    ["settings: must have at most 65536 bytes as JSON", { settings: { a: "€".repeat(21_844) } }],
    [
      "settings: must not contain NaN or Infinity: JSON has neither",
      { settings: { a: [{ b: Number.POSITIVE_INFINITY }] } },
    ],
    ["settings: must not be nested more than 32 levels deep", { settings: nested(33) }],
    ["settings: must not be nested more than 32 levels deep", { settings: nested(100_000) }],
  ])("are refused: %s", (words, fields) =>
    expect(refusedFields(fields)).toEqual([`download_client.${words}`]),
  );

  it("are all named, not only the first", () =>
    expect(refusedFields({ name: "", priority: 0, tags: [""] })).toHaveLength(3));
});

describe("a host", () => {
  it.each([
    ["nas", "nas"],
    ["NAS.Local", "nas.local"],
    ["nas.local.", "nas.local."], // a name that is complete
    ["my_nas", "my_nas"],
    ["münchen.example", "xn--mnchen-3ya.example"],
    ["192.168.1.10", "192.168.1.10"],
    ["2001:DB8:0:0::1", "2001:db8::1"],
    ["::1", "::1"],
    ["::ffff:192.168.1.10", "::ffff:c0a8:10a"],
    ["0.pool.example", "0.pool.example"],
    [
      `${"a".repeat(63)}.`.repeat(3) + "a".repeat(61),
      `${"a".repeat(63)}.`.repeat(3) + "a".repeat(61),
    ],
  ])("%j is kept as %j", (host, kept) => {
    const violations: FieldViolation[] = [];
    expect(checkAccess(violations, "at", { host })).toEqual({ host: kept });
    expect(violations).toEqual([]);
  });

  const notAlone =
    "at.host: must be a host name or an IP address alone, such as nas.local or 192.168.1.10";
  it.each(
    [
      "nas:8080",
      "nas/path",
      "http://nas",
      "user@nas",
      "nas?",
      "nas#",
      "na s",
      "nas\\",
      "nas%00",
      "nas\0", // WHATWG would drop it
      "[::1]",
      "fe80::1%eth0", // a zone means something on its own host alone
      ":::1",
      "1::2::3",
      ".",
      "..",
      "nas..",
      "a..b",
      "a,b",
      "*.local",
      'a"b',
      "xn--a",
      "\ud800",
      "8080", // a port; WHATWG would make it 0.0.31.144
      "1",
      "127.1",
      "0x7f.0.0.1",
      "192.168.001.010", // octal to some
      "256.1.1.1",
      "nas.1",
      "a".repeat(254),
      `${":".repeat(1_000_000)}x`,
      "a".repeat(4_000_000),
      `a${"\u00ad".repeat(300)}`, // WHATWG would drop these
      "ä".repeat(250), // too long as DNS writes it
    ].map((host) => [JSON.stringify(host.slice(0, 20)), host] as const),
  )("%s is refused", (_, host) => expect(refusedAccess({ host })).toEqual([notAlone]));

  it("that is empty is required", () =>
    expect(refusedAccess({ host: "" })).toEqual([
      "at.host: is required: the name or address of the client's host",
    ]));

  it.each(["0.0.0.0", "0", "::", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"])(
    "%s is nobody's address",
    (host) => expect(refusedAccess({ host })[0]).toMatch(/^at.host: must name an address that/),
  );

  it("is kept in a form that is accepted and kept again, whatever text comes", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary", maxLength: 20 }),
      fc.domain(),
      fc.ipV4Extended(),
      fc.ipV6(),
    );
    fc.assert(
      fc.property(texts, (host) => {
        const violations: FieldViolation[] = [];
        const kept = checkAccess(violations, "at", { host }).host;
        if (violations.length > 0) return;
        expect(checkAccess(violations, "at", { host: kept })).toEqual({ host: kept });
        expect(violations).toEqual([]);
        // And it can be put into a URL.
        expect(URL.canParse(`http://${kept.includes(":") ? `[${kept}]` : kept}:80/`)).toBe(true);
      }),
    );
  });
});

describe("a way to log in", () => {
  it.each([
    ["", ""],
    ["/", ""],
    ["/qb/", "/qb"],
    ["/a/b", "/a/b"],
    ["/ä", "/%C3%A4"],
  ])("has the URL base %j kept as %j", (urlBase, kept) => {
    const violations: FieldViolation[] = [];
    expect(checkAccess(violations, "at", { urlBase })).toEqual({ urlBase: kept });
    expect(violations).toEqual([]);
  });

  it.each([
    "qb",
    "//nas",
    "/a b",
    "/a?b",
    "/a#b",
    "/a\\b",
    ":80/",
    "@evil/",
    `/${"x".repeat(2_048)}`,
  ])("has no URL base %s", (urlBase) =>
    expect(refusedAccess({ urlBase })).toEqual([
      "at.url_base: must be empty or a path such as /qbittorrent",
    ]),
  );

  it.each<[string, Partial<Access>]>([
    ["port: must be from 1 to 65535", { port: 0 }],
    ["port: must be from 1 to 65535", { port: 65_536 }],
    ["username: must have at most 256 characters", { username: "x".repeat(257) }],
    ["password: must have at most 4096 characters", { password: "x".repeat(4_097) }],
    ["password: must not contain control characters", { password: "x\0" }],
  ])("is refused: %s", (words, fields) => expect(refusedAccess(fields)).toEqual([`at.${words}`]));

  it("does not show a password that is refused", () =>
    expect(refusedAccess({ password: "geheim\n" })[0]).not.toContain("geheim"));

  it("gets no field that was absent", () =>
    expect(checkAccess([], "at", { password: "" })).toEqual({ password: "" }));
});

describe("a target", () => {
  const target: Omit<Target, "protocol"> = {
    kind: "qbittorrent",
    host: "NAS",
    port: 8080,
    useSsl: false,
    urlBase: "/qb/",
    username: "u",
    password: "p",
    ...NO_FILE_PLACES,
  };

  it("is a kind with a way to log in", () => {
    const violations: FieldViolation[] = [];
    expect(checkTarget(violations, "at", target)).toEqual({
      ...target,
      host: "nas",
      urlBase: "/qb",
    });
    expect(violations).toEqual([]);
  });

  it.each([
    ["", "is required"],
    ["QBittorrent", "must be lower-case"],
    ["x".repeat(65), "must have at most 64"],
  ])("of kind %j is refused", (kind, words) =>
    expect(refused((violations) => checkTarget(violations, "at", { kind }))[0]).toMatch(
      `at.kind: ${words}`,
    ),
  );
});
