import type {
  HeartbeatRequest,
  HeartbeatResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { HeartbeatStream } from "./heartbeat-stream.js";
import type { Leases } from "./leases.js";

/** All open heartbeat streams. */
export interface HeartbeatStreams {
  open(requests: AsyncIterable<HeartbeatRequest>): AsyncIterable<HeartbeatResponse>;
  /** Tells every client that Pulse stops and when to come back, and ends its stream. */
  drain(retryAfterMs: number): void;
}

export function createHeartbeatStreams(leases: Leases): HeartbeatStreams {
  const streams = new Set<HeartbeatStream>();
  return {
    open(requests) {
      const stream = new HeartbeatStream(requests, leases, (closed) => streams.delete(closed));
      streams.add(stream);
      return stream;
    },
    drain(retryAfterMs) {
      for (const stream of streams) stream.drain(retryAfterMs);
    },
  };
}
