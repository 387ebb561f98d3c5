import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type {
  HeartbeatRequestSchema,
  HeartbeatResponse,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";

type Beat = MessageInitShape<typeof HeartbeatRequestSchema>;

/** A heartbeat stream in the hands of a test: sends what it is told, and hands out what comes. */
export class HeartbeatClient {
  readonly #requests: Beat[] = [];
  readonly #responses: AsyncIterator<HeartbeatResponse>;
  readonly #controller = new AbortController();
  #wake = () => {};
  #isEnded = false;

  constructor(registry: Client<typeof RegistryService>) {
    const options = { signal: this.#controller.signal };
    this.#responses = registry.heartbeat(this.#stream(), options)[Symbol.asyncIterator]();
  }

  send(beat: Beat): void {
    this.#requests.push(beat);
    this.#wake();
  }

  /** The next response's event. */
  async event(): Promise<HeartbeatResponse["event"]> {
    const { done, value } = await this.#responses.next();
    if (done) throw new Error("the stream has ended");
    return value.event;
  }

  /** Sends and returns the next event. */
  async beat(beat: Beat): Promise<HeartbeatResponse["event"]> {
    this.send(beat);
    return this.event();
  }

  /** Half-closes, and resolves when the server has ended too; rejects with its error. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.#wake();
    while (!(await this.#responses.next()).done);
  }

  /** Breaks the stream without goodbye. */
  break(): void {
    this.#controller.abort();
  }

  async *#stream(): AsyncIterable<Beat> {
    for (;;) {
      const request = this.#requests.shift();
      if (request) yield request;
      else if (this.#isEnded) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
