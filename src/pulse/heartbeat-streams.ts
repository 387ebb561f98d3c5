import type {
  HeartbeatRequest,
  HeartbeatResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { HeartbeatStream, type StreamOpener } from "./heartbeat-stream.js";
import type { Leases } from "./leases.js";

/** All open heartbeat streams. */
export interface HeartbeatStreams {
  open(
    requests: AsyncIterable<HeartbeatRequest>,
    opener: StreamOpener,
  ): AsyncIterable<HeartbeatResponse>;
  /** Ends those with an error that were opened with some bearer tokens. */
  end(error: unknown, isOf: (tokenId: string) => boolean): void;
  /** Tells every client that Pulse stops and when to come back, and ends its stream. */
  drain(retryAfterMs: number): void;
}

export function createHeartbeatStreams(leases: Leases): HeartbeatStreams {
  const streams = new Set<HeartbeatStream>();
  return {
    open(requests, opener) {
      const onClose = (closed: HeartbeatStream) => void streams.delete(closed);
      const stream = new HeartbeatStream(requests, leases, opener, onClose);
      streams.add(stream);
      return stream;
    },
    end(error, isOf) {
      for (const stream of streams) if (isOf(stream.tokenId)) stream.cut(error);
    },
    drain(retryAfterMs) {
      for (const stream of streams) stream.drain(retryAfterMs);
    },
  };
}
