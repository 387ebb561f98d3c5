/** What one server bears. Past a bound the peer gets a clear status, or loses its connection. */
export interface WireLimits {
  /** Connections at a time, of all kinds. One more is closed as soon as it is accepted. */
  readonly maxConnections: number;
  /** Those of them that come from one IPv4 address or one IPv6 /64. One more is closed likewise. */
  readonly maxConnectionsPerAddress: number;
  /** Calls at a time on one HTTP/2 connection. A peer that knows HTTP/2 waits with the next one. */
  readonly maxStreamsPerConnection: number;
  /** Calls over HTTP/2 at a time, on all connections. RESOURCE_EXHAUSTED past them. */
  readonly maxCalls: number;
  /** Those of them that come from one IPv4 address or one IPv6 /64. Likewise. */
  readonly maxCallsPerAddress: number;
  /**
   * Bytes of messages that have begun to come and are not whole, in all calls. The call
   * that goes past it is reset with ENHANCE_YOUR_CALM, which gRPC reads as
   * RESOURCE_EXHAUSTED; HTTP/1.1: the connection is closed.
   */
  readonly maxHeldBytes: number;
  /** Those of them that come from one IPv4 address or one IPv6 /64. Likewise. */
  readonly maxHeldBytesPerAddress: number;
  /** Bytes of one message, either way, unpacked. RESOURCE_EXHAUSTED past it. */
  readonly maxMessageBytes: number;
  /** Bytes of all headers of a request. HTTP/2: the stream is refused; HTTP/1.1: 431. */
  readonly maxHeaderBytes: number;
  /** The longest timeout of a call, in ms; a longer one is shortened to it. */
  readonly maxTimeoutMs: number;
  /** TLS: a new connection must have ended its handshake, in ms. Closed past it. */
  readonly handshakeTimeoutMs: number;
  /** A new connection must have shown which protocol it speaks, in ms. Closed past it. */
  readonly sniffTimeoutMs: number;
  /** HTTP/1.1: all headers of a request must have come, in ms. 408 past it. */
  readonly headersTimeoutMs: number;
  /**
   * A request, or a message of a stream that has begun, must have come as a whole, in ms.
   * HTTP/2: reset past it, or up to a quarter later, with ENHANCE_YOUR_CALM; HTTP/1.1: 408.
   */
  readonly requestTimeoutMs: number;
  /** HTTP/1.1: a connection may wait for its next request, in ms. */
  readonly keepAliveMs: number;
  /** HTTP/2: a connection without any call is closed after this, in ms. */
  readonly idleConnectionMs: number;
  /** HTTP/2 PINGs of one connection in any 10 s. ENHANCE_YOUR_CALM and the end of it past them. */
  readonly maxPingsPer10s: number;
  /**
   * HTTP/2 calls in progress that one connection may reset at once. ENHANCE_YOUR_CALM and
   * the end of it past them. At most 1,000: beyond that, nghttp2 has a bound of its own.
   */
  readonly maxResets: number;
  /** How many more it may reset in each second. At most 33, likewise. */
  readonly maxResetsPerSecond: number;
  /**
   * A peer may take nothing of what waits to be sent to it for this long, in ms, for
   * each MiB of a message. HTTP/2: the stream is reset with ENHANCE_YOUR_CALM, which
   * gRPC reads as RESOURCE_EXHAUSTED; HTTP/1.1: the connection is closed.
   */
  readonly writeStallMs: number;
  /** HTTP/2: a connection on which nothing came for this long, in ms, is sent a PING. */
  readonly pingAfterMs: number;
  /**
   * HTTP/2: a connection on which nothing comes for this long after that PING, in ms, is
   * closed, and its calls with it. A quarter of this is how often all are looked at.
   */
  readonly pingTimeoutMs: number;
}

const DAY_MS = 86_400_000;

export const DEFAULT_LIMITS: WireLimits = {
  maxConnections: 20_000,
  // So that one address can never take all; and yet a fleet may live on one host.
  maxConnectionsPerAddress: 8_192,
  // grpc-js has no bound of its own: 20,000 streams on one connection took 712 MB.
  maxStreamsPerConnection: 1_000,
  // A client has a stream of heartbeats, and some watch.
  maxCalls: 40_000,
  maxCallsPerAddress: 16_384,
  maxHeldBytes: 64 * 1_024 * 1_024,
  maxHeldBytesPerAddress: 16 * 1_024 * 1_024,
  // What gRPC clients accept by default: more would fail at the other end, less clearly.
  maxMessageBytes: 4 * 1_024 * 1_024,
  maxHeaderBytes: 16 * 1_024,
  // Node's timers hold 24.8 days, and fire at once for more.
  maxTimeoutMs: 24 * DAY_MS,
  // A slow processor or a distant peer takes a second; a fleet that comes back takes longer.
  handshakeTimeoutMs: 10_000,
  sniffTimeoutMs: 5_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  keepAliveMs: 30_000,
  idleConnectionMs: 30 * 60_000,
  // grpc-go measures bandwidth with a PING per response, so an honest peer sends thousands.
  maxPingsPer10s: 50_000,
  maxResets: 900,
  maxResetsPerSecond: 30,
  writeStallMs: 60_000,
  // Heartbeats come every 5 s by default: who sends them is never asked.
  pingAfterMs: 15_000,
  pingTimeoutMs: 10_000,
};
