import { once } from "node:events";
import { createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  type HeartbeatRequest,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
  type RegisterRequest,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { createMessageQueue } from "../../src/client/message-queue.js";

/** How long after its connection was dropped an old stream may seem open, in ms. */
const END_ARRIVES_MS = 500;

interface Stream {
  isOpen: boolean;
  /** Leases whose heartbeat is not answered yet, once for each of these. */
  readonly unanswered: string[];
}

/**
 * Grants leases, and takes as long as a test wants to answer their heartbeats. It counts
 * how many of a lease are in flight at a time: on a server's side, where all are seen.
 */
export class SlowPulse {
  /** From when one comes until its answer leaves. */
  answerMs = 0;
  /** The most heartbeats of one lease that were ever in flight, over all streams. */
  mostInFlight = 0;
  /** All that came. */
  readonly beats: HeartbeatRequest[] = [];
  readonly #streams = new Set<Stream>();
  #generation = 0n;

  private constructor(
    readonly ttlMs: number,
    readonly server: Http2Server,
  ) {}

  /** On a free port of 127.0.0.1. */
  static async start(ttlMs: number): Promise<SlowPulse> {
    const server = createServer();
    const pulse = new SlowPulse(ttlMs, server);
    const routes = connectNodeAdapter({
      routes: (router) =>
        router.service(RegistryService, {
          register: (request) => pulse.#register(request),
          heartbeat: (requests) => pulse.#heartbeat(requests),
        }),
    });
    server.on("request", routes).listen(0, "127.0.0.1");
    await once(server, "listening");
    return pulse;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Leaves its port. Connections end with their clients. */
  close(): void {
    this.server.close();
  }

  #register({ instanceId }: RegisterRequest) {
    this.#generation++;
    return {
      service: { id: instanceId, instanceId },
      lease: { id: `${instanceId}.${this.#generation}`, ...this.#times },
      generation: this.#generation,
      epoch: "epoch",
      revision: this.#generation,
    };
  }

  get #times() {
    const [ttl, heartbeatInterval] = [this.ttlMs, Math.floor(this.ttlMs / 3)].map(durationFromMs);
    return { ...(ttl && { ttl }), ...(heartbeatInterval && { heartbeatInterval }) };
  }

  async *#heartbeat(requests: AsyncIterable<HeartbeatRequest>) {
    const stream: Stream = { isOpen: true, unanswered: [] };
    const answers = createMessageQueue<HeartbeatResponse>();
    this.#streams.add(stream);
    // Read on while answers are held back, or a second one could not come.
    void this.#readAll(requests, stream, answers).finally(() => answers.end());
    try {
      yield* answers;
    } finally {
      stream.isOpen = false;
      this.#streams.delete(stream);
    }
  }

  async #readAll(
    requests: AsyncIterable<HeartbeatRequest>,
    stream: Stream,
    answers: { push(response: HeartbeatResponse): void },
  ): Promise<void> {
    try {
      for await (const request of requests) {
        const { leaseId, sequence } = request;
        this.beats.push(request);
        stream.unanswered.push(leaseId);
        this.#count(leaseId, stream);
        setTimeout(() => {
          stream.unanswered.splice(stream.unanswered.indexOf(leaseId), 1);
          const value = { leaseId, sequence, ...this.#times };
          answers.push(create(HeartbeatResponseSchema, { event: { case: "renewed", value } }));
        }, this.answerMs);
      }
    } catch {
      // The client has dropped the stream.
    } finally {
      stream.isOpen = false;
    }
  }

  #count(leaseId: string, stream: Stream): void {
    const here = stream.unanswered.filter((other) => other === leaseId).length;
    this.mostInFlight = Math.max(this.mostInFlight, here);
    const elsewhere = [...this.#streams].filter(
      (other) => other !== stream && other.unanswered.includes(leaseId),
    );
    setTimeout(() => {
      const others = elsewhere.filter(({ isOpen }) => isOpen).length;
      this.mostInFlight = Math.max(this.mostInFlight, here + others);
    }, END_ARRIVES_MS);
  }
}
