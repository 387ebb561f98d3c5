import { GRPC_HEADER_LENGTH } from "./frames.js";
import type { Header } from "./hpack-table.js";

export interface CallHandlers {
  /** The bytes are valid only while it runs. */
  readonly onMessage?: (message: Buffer) => void;
  /** @param problem undefined: the server ended the call with grpc-status 0 */
  readonly onEnd: (problem: string | undefined) => void;
}

/** The reading half of one gRPC call: its messages, and how it ended. */
export class Call {
  #partial: Buffer | undefined;
  #status: string | undefined;
  #statusMessage = "";

  constructor(
    readonly streamId: number,
    readonly handlers: CallHandlers,
  ) {}

  headers(headers: readonly Header[]): void {
    for (const { name, value } of headers) {
      if (name === "grpc-status") this.#status = value;
      else if (name === "grpc-message") this.#statusMessage = decodeURIComponent(value);
      else if (name === ":status" && value !== "200") this.#statusMessage = `HTTP ${value}`;
    }
  }

  data(chunk: Buffer): void {
    const bytes = this.#partial ? Buffer.concat([this.#partial, chunk]) : chunk;
    let at = 0;
    while (bytes.length - at >= GRPC_HEADER_LENGTH) {
      const end = at + GRPC_HEADER_LENGTH + bytes.readUInt32BE(at + 1);
      if (bytes.length < end) break;
      this.handlers.onMessage?.(bytes.subarray(at + GRPC_HEADER_LENGTH, end));
      at = end;
    }
    this.#partial = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined;
  }

  end(): void {
    this.handlers.onEnd(this.#problem());
  }

  break(problem: string): void {
    this.handlers.onEnd(problem);
  }

  #problem(): string | undefined {
    if (this.#status === undefined)
      return `ended without grpc-status ${this.#statusMessage}`.trim();
    if (this.#status !== "0") return `grpc-status ${this.#status}: ${this.#statusMessage}`;
    return this.#partial ? "ended within a message" : undefined;
  }
}
