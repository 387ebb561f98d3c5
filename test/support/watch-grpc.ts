import { connect } from "node:http2";
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

export interface GrpcWatchOptions {
  /** `http://host:port` */
  readonly url: string;
  readonly bearer: string;
  /** HTTP/2's window of the stream, in bytes: what the server may send ahead of who reads. */
  readonly windowBytes: number;
  readonly signal: AbortSignal;
}

/**
 * A server stream over nothing but HTTP/2, on a connection of its own. It takes
 * from the server only what is iterated, and some 16 KiB and the window ahead.
 * @throws Error with the gRPC status and its text, or what broke the connection.
 */
export async function* grpcWatch<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
  { url, bearer, windowBytes, signal }: GrpcWatchOptions,
): AsyncGenerator<MessageShape<O>> {
  const session = connect(url, { settings: { initialWindowSize: windowBytes } });
  const broken = new Promise<never>((_, reject) => session.on("error", reject));
  broken.catch(() => {});
  const stream = session.request({
    ":method": "POST",
    ":path": `/${method.parent.typeName}/${method.name}`,
    "content-type": "application/grpc",
    te: "trailers",
    authorization: `Bearer ${bearer}`,
  });
  let status = "the connection ended without a status";
  const readStatus = (headers: Record<string, unknown>) => {
    if (headers["grpc-status"] !== undefined)
      status = `status ${headers["grpc-status"]}: ${decodeURIComponent(String(headers["grpc-message"] ?? ""))}`;
  };
  stream.on("response", readStatus).on("trailers", readStatus);
  const onAbort = () => session.destroy();
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  stream.end(frame(toBinary(method.input, create(method.input, request))));
  try {
    let bytes: Buffer = Buffer.alloc(0);
    for await (const chunk of stream) {
      bytes = Buffer.concat([bytes, chunk as Buffer]);
      while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
        const end = 5 + bytes.readUInt32BE(1);
        yield fromBinary(method.output, bytes.subarray(5, end));
        bytes = bytes.subarray(end);
      }
    }
    signal.throwIfAborted();
    if (!status.startsWith("status 0")) throw new Error(status);
  } finally {
    signal.removeEventListener("abort", onAbort);
    session.destroy();
  }
}

function frame(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
