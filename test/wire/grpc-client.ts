import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import { pathOf } from "../../src/wire/mount.js";
import { type Note, toyMethod } from "./toy.js";

// A plain grpc-js client, so that the server is tested against another's other half.

const { input: NOTE } = toyMethod("Ask");
const serialize = (note: Note) => Buffer.from(toBinary(NOTE, create(NOTE, note)));
const deserialize = (bytes: Buffer) => fromBinary(NOTE, bytes) as unknown as Note;

/** How a call ended. */
export interface Outcome {
  readonly code: string;
  readonly details: string;
  readonly header: grpc.Metadata;
  readonly trailer: grpc.Metadata;
  readonly notes: string[];
}

export interface CallOptions extends grpc.CallOptions {
  readonly metadata?: Record<string, string>;
}

export type ToyCall = grpc.ClientDuplexStream<Note, Note>;

export class GrpcToyClient {
  readonly client: grpc.Client;

  constructor(
    port: number,
    options: grpc.ClientOptions = {},
    credentials = grpc.credentials.createInsecure(),
  ) {
    this.client = new grpc.Client(`127.0.0.1:${port}`, credentials, {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      ...options,
    });
    onTestFinished(() => this.client.close());
  }

  /** Begins a call of any kind as a stream: on the wire they are all the same. */
  start(name: "Ask" | "Watch" | "Collect" | "Chat", options: CallOptions = {}): ToyCall {
    const metadata = new grpc.Metadata();
    for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
    const path = pathOf(toyMethod(name));
    return this.client.makeBidiStreamRequest(path, serialize, deserialize, metadata, options);
  }

  /** Sends these notes, half-closes, and reads until the status. */
  call(
    name: "Ask" | "Watch" | "Collect" | "Chat",
    texts: readonly string[] = ["hello"],
    options: CallOptions = {},
  ): Promise<Outcome> {
    const call = this.start(name, options);
    for (const text of texts) call.write({ text });
    call.end();
    return outcome(call);
  }
}

export function outcome(call: ToyCall): Promise<Outcome> {
  const notes: string[] = [];
  let header = new grpc.Metadata();
  call.on("metadata", (metadata) => {
    header = metadata;
  });
  call.on("data", ({ text }: Note) => notes.push(text));
  call.on("error", () => {}); // `status` says the same
  return new Promise((resolve) => {
    call.on("status", ({ code, details, metadata }: grpc.StatusObject) =>
      resolve({ code: grpc.status[code] ?? "", details, header, trailer: metadata, notes }),
    );
  });
}

/** A connection of nothing but HTTP/2, closed at the end of the test; in TLS, if an authority is given. */
export function rawSession(port: number, ca?: string): ClientHttp2Session {
  const session = ca
    ? connect(`https://127.0.0.1:${port}`, { ca })
    : connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  return session;
}

/** A call in raw HTTP/2 that reads nothing unless told to, and does not half-close a request stream. */
export function rawCall(
  port: number,
  name: "Ask" | "Watch" | "Collect" | "Chat",
  texts: readonly string[] = [""],
  session = rawSession(port),
): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": pathOf(toyMethod(name)),
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  for (const text of texts) stream.write(frame({ text }));
  if (name === "Ask" || name === "Watch") stream.end();
  return stream;
}

function frame(note: Note): Buffer {
  const bytes = serialize(note);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}
