import fc from "fast-check";

// What might come over the port: nearly requests, nearly frames.

const PATHS = [
  "/",
  "/healthz",
  "/pulse.v1.RegistryService/Register",
  "/pulse.v1.RegistryService/Heartbeat",
  "/pulse.v1.DownloadClientService/WatchDownloadClients",
  "//pulse.v1.RegistryService/Register",
  "/%2e%2e/",
  "*",
  "http://nas/healthz",
  `/${"a".repeat(9_000)}`,
];
const METHODS = ["GET", "POST", "PUT", "OPTIONS", "CONNECT", "PRI", "TRACE", "get", ""];
const HEADERS = [
  "Host: nas",
  "Host: ",
  "Host: a b",
  "Content-Length: 5",
  "Content-Length: -1",
  "Content-Length: 99999999999",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip, chunked",
  "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
  "Expect: 100-continue",
  "Content-Type: application/json",
  "Content-Type: application/grpc-web+proto",
  "Content-Type: application/connect+json",
  "Content-Encoding: gzip",
  "Connect-Timeout-Ms: 99999999999999999999",
  "Grpc-Timeout: 1Z",
  "Authorization: Bearer x",
  `X-Long: ${"x".repeat(20_000)}`,
  "No colon",
  " Folded: 1",
];
const BODIES = ["", "{}", '{"service":', "5\r\n{}   \r\n0\r\n\r\n", "ffffffff\r\n", "\u0000\u0000"];

/** Bytes of one HTTP/1.1 request, if not of two. */
export const anyHttp1: fc.Arbitrary<Uint8Array> = fc
  .record({
    method: fc.constantFrom(...METHODS),
    path: fc.constantFrom(...PATHS),
    version: fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""),
    headers: fc.array(fc.constantFrom(...HEADERS), { maxLength: 6 }),
    body: fc.constantFrom(...BODIES),
    lineEnd: fc.constantFrom("\r\n", "\r\n", "\r\n", "\n", "\r"),
  })
  .map(({ method, path, version, headers, body, lineEnd }) =>
    Buffer.from([`${method} ${path} ${version}`, ...headers, "", body].join(lineEnd), "latin1"),
  );

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** HEADERS of a call that a server would take, by static entries and literals of HPACK. */
const CALL = Buffer.concat([
  Buffer.from([0x83, 0x86, 0x01, 0x01, 0x78, 0x04]),
  literal("/pulse.v1.RegistryService/ListServices"),
  Buffer.from([0x0f, 0x10]),
  literal("application/grpc"),
]);

function literal(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
}

const payload = fc.oneof(
  fc.constant(CALL),
  fc.constant(Buffer.alloc(0)),
  fc.constant(Buffer.alloc(5)),
  fc.constant(Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff])),
  fc.constant(Buffer.from([0xff, 0xff, 0xff, 0xff])),
  fc.uint8Array({ maxLength: 80 }),
);

const anyFrame = fc
  .record({
    type: fc.integer({ min: 0, max: 12 }),
    flags: fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 0x20), fc.nat(255)),
    stream: fc.constantFrom(0, 1, 1, 3, 5, 2, 0x7fffffff, 0xffffffff),
    payload,
    /** How far the length that is told is from the true one. */
    lie: fc.constantFrom(0, 0, 0, 0, 0, 1, -1, 16_384),
  })
  .map(({ type, flags, stream, payload, lie }) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(Math.max(0, payload.length + lie), 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  });

/** An HTTP/2 connection: its begin, and frames of any kind. */
export const anyHttp2: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.boolean(), fc.array(anyFrame, { maxLength: 12 }))
  .map(([saysSettings, frames]) =>
    Buffer.concat([
      PREFACE,
      ...(saysSettings ? [Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])] : []),
      ...frames,
    ]),
  );
