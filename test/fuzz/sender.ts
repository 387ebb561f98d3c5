import { type DescMethod, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { pathOf } from "../../src/wire/mount.js";

export const ENCODINGS = ["gRPC", "Connect", "Connect JSON", "gRPC-Web"] as const;
export type Encoding = (typeof ENCODINGS)[number];

const TIMEOUT_MS = 10_000;

/** Sends bytes as requests, whether they are messages or not. */
export class Sender {
  readonly #url: string;
  readonly #token: string;
  readonly #client: grpc.Client;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
    this.#client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
  }

  /**
   * Calls a method that takes one request.
   * @returns how it ended: `OK` or the name of a code, as each protocol writes it; of
   *   a stream that goes on, `OK` once something has come.
   */
  call(encoding: Encoding, method: DescMethod, bytes: Uint8Array): Promise<string> {
    return encoding === "gRPC" ? this.#grpc(method, bytes) : this.#http(encoding, method, bytes);
  }

  close(): void {
    this.#client.close();
  }

  #grpc(method: DescMethod, bytes: Uint8Array): Promise<string> {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${this.#token}`);
    const call = this.#client.makeServerStreamRequest(
      pathOf(method),
      (request: Uint8Array) => Buffer.from(request),
      (reply) => reply,
      bytes,
      metadata,
      { deadline: Date.now() + TIMEOUT_MS },
    );
    return new Promise((resolve) => {
      call.on("error", () => {}); // `status` says the same
      call.on("data", () => {
        if (method.methodKind !== "server_streaming") return;
        resolve("OK");
        call.cancel();
      });
      call.on("status", ({ code, details }) =>
        resolve(code === grpc.status.OK ? "OK" : `${grpc.status[code]}: ${details}`),
      );
    });
  }

  async #http(encoding: Encoding, method: DescMethod, bytes: Uint8Array): Promise<string> {
    const isStream = method.methodKind === "server_streaming";
    const isJson = encoding === "Connect JSON";
    const json = isJson ? jsonOf(method, bytes) : undefined;
    if (isJson && json === undefined) return "INVALID_ARGUMENT: cannot be written as JSON";
    const body = json === undefined ? bytes : Buffer.from(json);
    const isEnveloped = encoding === "gRPC-Web" || isStream;
    const leaving = new AbortController();
    const timer = setTimeout(() => leaving.abort(), TIMEOUT_MS);
    try {
      const response = await fetch(`${this.#url}${pathOf(method)}`, {
        method: "POST",
        signal: leaving.signal,
        headers: {
          authorization: `Bearer ${this.#token}`,
          "content-type":
            encoding === "gRPC-Web"
              ? "application/grpc-web+proto"
              : `application/${isStream ? "connect+" : ""}${isJson ? "json" : "proto"}`,
        },
        body: isEnveloped ? enveloped(body) : body,
      });
      if (!isEnveloped) {
        const text = await response.text();
        return response.ok ? "OK" : `${response.status} ${text}`;
      }
      return await this.#firstFrame(response, encoding);
    } finally {
      clearTimeout(timer);
      leaving.abort();
    }
  }

  /** The end that a stream begins with, or `OK` once it has sent a message. */
  async #firstFrame(response: Response, encoding: Encoding): Promise<string> {
    const status = response.headers.get("grpc-status");
    if (status && status !== "0")
      return `${grpc.status[Number(status)]}: ${response.headers.get("grpc-message")}`;
    let bytes = Buffer.alloc(0);
    for await (const chunk of response.body ?? []) {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < 5) continue;
      const isEnd = (bytes[0] as number) >= 2;
      if (!isEnd) return "OK";
      if (bytes.length < 5 + bytes.readUInt32BE(1)) continue;
      const end = bytes.subarray(5).toString();
      if (encoding !== "gRPC-Web") return end === "{}" ? "OK" : end;
      const code = Number(/grpc-status: *(\d+)/i.exec(end)?.[1]);
      return code === 0 ? "OK" : `${grpc.status[code]}: ${end}`;
    }
    return response.ok ? "OK" : `${response.status}`;
  }
}

function enveloped(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** The same message as JSON; undefined: it is none, or JSON cannot say it. */
function jsonOf(method: DescMethod, bytes: Uint8Array): string | undefined {
  let value: JsonValue;
  try {
    value = toJson(method.input, fromBinary(method.input, bytes));
  } catch {
    return undefined;
  }
  return JSON.stringify(value);
}
