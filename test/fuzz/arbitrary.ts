import {
  create,
  type DescField,
  type DescMessage,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import fc from "fast-check";

// What a peer may put into a message: what is valid, what nearly is, and what no honest
// peer would send.

/** Things that exist in a registry that is fuzzed, so that calls reach more than the checks. */
export interface Known {
  /** By the name of a field: what may stand there and mean something. */
  readonly [field: string]: readonly string[];
}

const HOSTILE_TEXTS = [
  "",
  " ",
  "\u0000",
  "a\u0000b",
  "\r\nX-Injected: 1",
  "\u202egnp.exe",
  "\u2028",
  "\ud800", // half a character
  "\udfff\ud800",
  "Z\u0351\u036b\u0343".repeat(40),
  "👩‍👩‍👧‍👦".repeat(30),
  "\u1e9e\u0130\ufb03", // grow when their case is changed
  "__proto__",
  "constructor",
  "../../etc/passwd",
  "'; drop table services; --",
  "%00%0d%0a",
  "$\u007bjndi:ldap://nowhere}",
  "\u001b[2J\u001b]0;title\u0007",
  "null",
  "-1",
  "1e309",
  "a".repeat(129),
  "a".repeat(5_000),
];

const NEARLY_VALID: Known = {
  name: ["haul", " haul", "haul\u200f", "h".repeat(128), `${"h".repeat(127)}😀`],
  type: ["download-client", "download-client ", "Download-Client", "manager", "-"],
  kind: ["qbittorrent", "sabnzbd", "haul", "unknown-kind", "QBITTORRENT"],
  api_url: [
    "http://nas:8080/qbt",
    "https://[::1]:443/",
    "http://0.0.0.0:1",
    "http://user:password@nas",
    "http://nas:99999",
    "http://0x7f.1/",
    "http:/\\nas",
    `http://${"a.".repeat(200)}com`,
    "ftp://nas",
    "http://nas/?q",
    "HTTP://NAS:80/%2e%2e/",
  ],
  health_url: ["http://nas/health?x=1", "http://169.254.169.254/", "javascript:alert(1)"],
  instance_secret: ["a secret of 16 or more", "short", "s".repeat(512), "s".repeat(513)],
  host: ["nas", "127.0.0.1", "::1", "0.0.0.0", "1", "nas:80", "a..b", "ⓝⓐⓢ"],
  url_base: ["/qbt", "//evil", "qbt", "/a?b", "/../.."],
  paths: ["name", "enabled", "host", "password", "id", "no_such", "settings.a", "*"],
  capabilities: ["torrent", "torrent", "TORRENT"],
};

const text = (field: string, known: Known): fc.Arbitrary<string> => {
  const options = [
    { arbitrary: fc.constantFrom(...HOSTILE_TEXTS), weight: 2 },
    { arbitrary: fc.string({ unit: "binary", maxLength: 200 }), weight: 1 },
    { arbitrary: fc.constant(""), weight: 2 },
  ];
  const likely = [...(known[field] ?? []), ...(NEARLY_VALID[field] ?? [])];
  if (likely.length > 0) options.push({ arbitrary: fc.constantFrom(...likely), weight: 8 });
  return fc.oneof(...options);
};

const int32 = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 5, 99, 1_000, 1_001, 65_535, 65_536),
  fc.constantFrom(-1, -(2 ** 31), 2 ** 31 - 1),
);
const uint32 = int32.map((value) => value >>> 0);
const int64 = fc.oneof(
  fc.constantFrom(0n, 1n, 5n, 15n, 300n, 301n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
const uint64 = int64.map((value) => BigInt.asUintN(64, value));
const float = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1, 50, 100, 101, 1e308, 5e-324));

function scalar(type: ScalarType, field: string, known: Known): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return text(field, known);
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 64 });
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return int64;
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return uint64;
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return uint32;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return float;
    default:
      return int32;
  }
}

/** JSON as `settings` takes it, and deeper than it may be. */
const json = fc.oneof(
  fc.dictionary(fc.constantFrom("a", "__proto__", "\ud800", ""), fc.jsonValue(), { maxKeys: 3 }),
  fc.nat(60).map((depth) => {
    let value: unknown = 1;
    for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { a: value };
    return { a: value };
  }),
);

/** Values of a field as `create` takes them. */
function fieldValue(field: DescField, known: Known, depth: number): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "scalar":
      return scalar(field.scalar, field.name, known);
    case "enum":
      return fc.oneof(
        fc.constantFrom(...field.enum.values.map(({ number }) => number)),
        fc.constantFrom(-1, 99, 2 ** 31 - 1),
      );
    case "message":
      if (field.message.typeName === "google.protobuf.Struct") return json;
      return messageOf(field.message, known, depth + 1);
    case "map":
      return fc.dictionary(text("key", known), text("value", known), {
        maxKeys: 4,
        noNullPrototype: true,
      });
    case "list": {
      const item =
        field.listKind === "scalar"
          ? scalar(field.scalar, field.name, known)
          : field.listKind === "enum"
            ? fc.constantFrom(0, 1, 2, 3, 4, 99)
            : messageOf(field.message, known, depth + 1);
      return fc.oneof(
        { arbitrary: fc.array(item, { maxLength: 3 }), weight: 9 },
        { arbitrary: fc.array(item, { minLength: 65, maxLength: 70 }), weight: 1 },
      );
    }
  }
}

/** Messages of a type, with any of their fields set to anything. */
export function messageOf<Desc extends DescMessage>(
  desc: Desc,
  known: Known = {},
  depth = 0,
): fc.Arbitrary<MessageShape<Desc>> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of desc.fields) {
    if (depth > 4 && field.fieldKind === "message") continue;
    if (field.oneof)
      fields[field.oneof.localName] = fieldValue(field, known, depth).map((value) => ({
        case: field.localName,
        value,
      }));
    else fields[field.localName] = fieldValue(field, known, depth);
  }
  return fc
    .record(fields, { requiredKeys: [], noNullPrototype: true })
    .map((init) => create(desc, init as never));
}

/** A message that a server takes, as `create` takes it. */
export type Init = Readonly<Record<string, unknown>>;

/** Messages like one that is valid, with some fields set to anything: these get past the checks. */
export function nearly<Desc extends DescMessage>(
  desc: Desc,
  valid: Init,
  known: Known = {},
): fc.Arbitrary<MessageShape<Desc>> {
  return changed(desc, valid, known).map((init) => create(desc, init as never));
}

function changed(desc: DescMessage, valid: Init, known: Known): fc.Arbitrary<Init> {
  return fc.subarray(desc.fields.slice(), { maxLength: 2 }).chain((fields) => {
    const changes = fields.map((field) => {
      const inner = valid[field.localName];
      return field.fieldKind === "message" && field.message.fields.length > 1 && isInit(inner)
        ? changed(field.message, inner, known)
        : fieldValue(field, known, 0);
    });
    return fc.tuple(...changes).map((values) => ({
      ...valid,
      ...Object.fromEntries(fields.map(({ localName }, i) => [localName, values[i]])),
    }));
  });
}

function isInit(value: unknown): value is Init {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bytes of a message as they might arrive: whole, cut, with bits turned, or with more behind. */
export function damaged(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(bytes, fc.nat(), fc.nat(255), fc.constantFrom("cut", "turn", "insert", "repeat"))
    .map(([whole, at, byte, how]) => {
      const place = whole.length === 0 ? 0 : at % whole.length;
      const [before, after] = [whole.subarray(0, place), whole.subarray(place)];
      switch (how) {
        case "cut":
          return before;
        case "turn":
          return Buffer.concat([before, Buffer.of(byte), after.subarray(1)]);
        case "insert":
          return Buffer.concat([before, Buffer.of(byte), after]);
        default:
          return Buffer.concat([whole, after]);
      }
    });
}
