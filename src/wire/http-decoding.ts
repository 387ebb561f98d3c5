import type { DescMessage } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { decodingProblem, markUndecodable } from "./undecodable.js";

/** How the request of a call of one message is written. */
interface Encoding {
  readonly isJson: boolean;
  /** In an envelope of five bytes: in streams, and always in gRPC-Web. */
  readonly isEnveloped: boolean;
  /** The header that says how it is compressed. */
  readonly compressionHeader: string;
}

type Call = UniversalServerRequest & {
  readonly contextValues: ContextValues;
  readonly body: AsyncIterable<Uint8Array>;
};

/**
 * The same call, or one that `refuseUndecodable` refuses: Connect answers a message that
 * it cannot decode with INTERNAL, or with a text that quotes what was sent, which may be
 * a secret in the wrong field. So each is decoded here before, and one that is no
 * message is handed on as an empty one, with a mark.
 * @param maxBytes of a message, unpacked; what is longer is left to Connect to refuse
 */
export async function checkRequest(
  call: Call,
  message: DescMessage,
  maxBytes: number,
): Promise<UniversalServerRequest> {
  if (call.method === "GET") return checkQuery(call, message, maxBytes);
  const encoding = encodingOf(call.header.get("content-type") ?? "");
  const most = maxBytes + ENVELOPE_BYTES;
  // Connect does not read what says that it is too long: nor must we, or it stays half read.
  if (!encoding || Number(call.header.get("content-length")) > most) return call;
  const read = await readUpTo(call.body, most);
  const asBefore = { ...call, body: read.body };
  if (!read.whole) return asBefore;
  const compression = call.header.get(encoding.compressionHeader);
  const bytes = await unpack(read.whole, encoding.isEnveloped, compression, maxBytes);
  const problem = bytes && decodingProblem(bytes, message, encoding.isJson);
  if (problem === undefined) return asBefore;
  const header = new Headers(call.header);
  for (const name of [encoding.compressionHeader, "content-length"]) header.delete(name);
  const empty = Buffer.from(encoding.isJson ? "{}" : "");
  return {
    ...call,
    header,
    body: once(encoding.isEnveloped ? enveloped(empty) : empty),
    contextValues: markUndecodable(call.contextValues, problem),
  };
}

/** Connect's GET, whose message is in the query. */
async function checkQuery(call: Call, message: DescMessage, maxBytes: number) {
  const url = new URL(call.url);
  const query = url.searchParams;
  const text = query.get("message") ?? "";
  const isJson = query.get("encoding") === "json";
  const packed = Buffer.from(text, query.get("base64") === "1" ? "base64url" : "utf8");
  const bytes = await unpack(packed, false, query.get("compression"), maxBytes);
  const problem = bytes && decodingProblem(bytes, message, isJson);
  if (problem === undefined) return call;
  query.delete("compression");
  query.delete("base64");
  query.set("message", isJson ? "{}" : "");
  return {
    ...call,
    url: url.href,
    contextValues: markUndecodable(call.contextValues, problem),
  };
}

function encodingOf(contentType: string): Encoding | undefined {
  const form = /^application\/(grpc-web|connect)?(?:\+?(proto|json))?\s*(?:;|$)/i.exec(contentType);
  if (!form) return undefined;
  const [, protocol = "", format = ""] = form.map((part) => part?.toLowerCase());
  if (format === "" && protocol !== "grpc-web") return undefined;
  const headers: Readonly<Record<string, string>> = {
    "grpc-web": "grpc-encoding",
    connect: "connect-content-encoding",
  };
  return {
    isJson: format === "json",
    isEnveloped: protocol !== "",
    compressionHeader: headers[protocol] ?? "content-encoding",
  };
}

const ENVELOPE_BYTES = 5;
const COMPRESSED_FLAG = 1;
const COMPRESSIONS = new Map([compressionGzip, compressionBrotli].map((each) => [each.name, each]));

/** The message's own bytes; undefined if they cannot be had, which Connect finds as well. */
async function unpack(
  whole: Uint8Array,
  isEnveloped: boolean,
  compression: string | null,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  let bytes = whole;
  let isCompressed = compression !== null && compression !== "identity";
  if (isEnveloped) {
    if (whole.length < ENVELOPE_BYTES) return undefined;
    const view = Buffer.from(whole.buffer, whole.byteOffset, whole.length);
    bytes = view.subarray(ENVELOPE_BYTES);
    if (view.readUInt32BE(1) !== bytes.length) return undefined;
    isCompressed = view.readUInt8(0) === COMPRESSED_FLAG;
    if (!isCompressed && view.readUInt8(0) !== 0) return undefined;
  }
  if (!isCompressed || bytes.length === 0) return bytes;
  return COMPRESSIONS.get(compression ?? "")
    ?.decompress(bytes, maxBytes)
    .catch(() => undefined);
}

function enveloped(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(ENVELOPE_BYTES);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/**
 * Reads a body, unless it is longer than `maxBytes` or breaks: then `whole` is undefined.
 * `body` gives the same again in any case, to its end or its error.
 */
async function readUpTo(body: AsyncIterable<Uint8Array>, maxBytes: number) {
  const iterator = body[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  let length = 0;
  let failure: { readonly error: unknown } | undefined;
  try {
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) {
        const whole = Buffer.concat(chunks);
        return { whole, body: once(whole) };
      }
      chunks.push(value);
      length += value.length;
      if (length > maxBytes) break;
    }
  } catch (error) {
    failure = { error };
  }
  return { whole: undefined, body: again(chunks, iterator, failure) };
}

async function* again(
  chunks: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
  failure: { readonly error: unknown } | undefined,
): AsyncIterable<Uint8Array> {
  try {
    yield* chunks;
    if (failure) throw failure.error;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
