import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type HeartbeatRequest,
  HeartbeatRequestSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";

type Request = MessageInitShape<typeof HeartbeatRequestSchema>;

/** What a client sends on a heartbeat stream, in the hands of a test. */
export class RequestFeed implements AsyncIterableIterator<HeartbeatRequest> {
  /** Requests that the server has read. */
  read = 0;
  /** The server wants no more. */
  isLeft = false;
  readonly #waiting: HeartbeatRequest[] = [];
  #end: { readonly error: unknown } | undefined;
  #wake = () => {};

  send(request: Request): void {
    this.#waiting.push(create(HeartbeatRequestSchema, request));
    this.#wake();
  }

  /** Half-closes, or breaks off with an error. */
  end(error?: unknown): void {
    this.#end = { error };
    this.#wake();
  }

  async next(): Promise<IteratorResult<HeartbeatRequest, undefined>> {
    for (;;) {
      const value = this.#waiting.shift();
      if (value) {
        this.read++;
        return { done: false, value };
      }
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<HeartbeatRequest, undefined>> {
    this.isLeft = true;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
