import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  createRouterTransport,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import {
  type DeregisterRequest,
  type HeartbeatRequest,
  LeaseLostReason,
  type RegisterRequest,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { clientsOn, type SessionConnection } from "../../src/client/clients.js";

/** What Pulse says unasked: a lease is lost, it is stopping, or the stream ends with an error. */
type Said = LeaseLostReason | { readonly drainMs: number } | ConnectError;

function tokenIn(header: Headers): string {
  return header.get("authorization")?.replace("Bearer ", "") ?? "";
}

/** A Pulse in memory whose moods a test can set. */
export class FakePulse {
  /** What calls meet. `silent`: never an answer. */
  mood: "well" | "away" | "silent" | ConnectError = "well";
  /** What heartbeats meet once the stream is open. */
  heartbeats: "answered" | "unanswered" | "stream-dies" = "answered";
  /** Lets a call pass by its bearer token, or throws; what it returns is given as instance token. */
  admit: (token: string, rpc: "register" | "heartbeat") => string = () => "";
  epoch = "epoch-1";
  readonly registers: RegisterRequest[] = [];
  readonly beats: HeartbeatRequest[] = [];
  readonly removed: string[] = [];
  readonly headers: Headers[] = [];
  /** Connections made, and streams that are open. */
  dials = 0;
  streams = 0;
  mostStreams = 0;
  /** How often a connection was asked to come up by itself. */
  connects = 0;
  readonly #onReady = new Set<() => void>();
  #generation = 0n;
  #lease = "";
  #push: ((said: Said) => void) | undefined;

  /** What a session calls. */
  readonly handlers = {
    register: async (
      request: RegisterRequest,
      { signal, requestHeader }: Pick<HandlerContext, "signal" | "requestHeader">,
    ) => {
      this.registers.push(request);
      this.headers.push(requestHeader);
      await this.#meet(signal);
      const instanceToken = this.admit(tokenIn(requestHeader), "register");
      this.#generation++;
      this.#lease = `lease-${this.#generation}`;
      return {
        service: { id: "svc-1", instanceId: request.instanceId },
        lease: {
          id: this.#lease,
          ttl: durationFromMs(15_000),
          heartbeatInterval: durationFromMs(5_000),
        },
        generation: this.#generation,
        epoch: this.epoch,
        revision: this.#generation,
        instanceToken,
      };
    },
    heartbeat: (
      requests: AsyncIterable<HeartbeatRequest>,
      { signal, requestHeader }: Pick<HandlerContext, "signal" | "requestHeader">,
    ) => this.#heartbeat(requests, signal, tokenIn(requestHeader)),
    deregister: async (request: DeregisterRequest, { signal }: Pick<HandlerContext, "signal">) => {
      await this.#meet(signal);
      this.removed.push(request.instanceId);
      return { removed: true };
    },
  };

  readonly dial = (): SessionConnection => this.dialWith([]);

  dialWith(interceptors: Interceptor[]): SessionConnection {
    this.dials++;
    const closed = new AbortController();
    const transport = createRouterTransport(
      ({ service }) => {
        service(RegistryService, this.handlers);
      },
      { transport: { interceptors } },
    );
    return {
      registry: clientsOn({ ...transport, close: () => {} }).registry,
      connect: () => void this.connects++,
      onReady: (listener) => void this.#onReady.add(listener),
      close: () => closed.abort(),
    };
  }

  /** The connection comes up, without a call. */
  comeUp(): void {
    for (const listener of this.#onReady) listener();
  }

  /** Says something unasked on the open stream. */
  say(what: Said): void {
    this.#push?.(what);
  }

  /** Forgets every lease, like a Pulse with an empty data directory. */
  forget(): void {
    this.#lease = "";
    this.epoch = "epoch-2";
  }

  async #meet(signal: AbortSignal): Promise<void> {
    if (this.mood === "well") return;
    if (this.mood instanceof ConnectError) throw this.mood;
    if (this.mood === "away") throw new ConnectError("connection refused", Code.Unavailable);
    await new Promise((_, reject) => signal.addEventListener("abort", reject, { once: true }));
  }

  async *#heartbeat(requests: AsyncIterable<HeartbeatRequest>, signal: AbortSignal, token: string) {
    await this.#meet(signal);
    this.admit(token, "heartbeat");
    const leaseId = this.#lease;
    this.streams++;
    this.mostStreams = Math.max(this.mostStreams, this.streams);
    const iterator = requests[Symbol.asyncIterator]();
    const aborted = new Promise<"aborted">((resolve) =>
      signal.addEventListener("abort", () => resolve("aborted"), { once: true }),
    );
    try {
      let next = iterator.next();
      for (;;) {
        const pushed = new Promise<Said>((resolve) => {
          this.#push = resolve;
        });
        const what = await Promise.race([next, pushed, aborted]);
        if (what === "aborted") return;
        if (typeof what === "number") {
          yield { event: { case: "leaseLost" as const, value: { leaseId, reason: what } } };
          continue;
        }
        if (what instanceof ConnectError) throw what;
        if ("drainMs" in what) {
          const value = { retryAfter: durationFromMs(what.drainMs) };
          yield { event: { case: "draining" as const, value } };
          continue;
        }
        if (what.done) return;
        const beat = what.value;
        this.beats.push(beat);
        if (this.heartbeats === "stream-dies") throw new ConnectError("gone", Code.Unavailable);
        if (this.heartbeats === "answered") yield this.#answer(beat);
        next = iterator.next();
      }
    } finally {
      this.streams--;
    }
  }

  #answer({ leaseId, sequence }: HeartbeatRequest) {
    if (leaseId !== this.#lease) {
      const reason = LeaseLostReason.UNKNOWN;
      return { event: { case: "leaseLost" as const, value: { leaseId, reason } } };
    }
    const ttl = durationFromMs(15_000);
    const heartbeatInterval = durationFromMs(5_000);
    const value = { leaseId, sequence, ttl, heartbeatInterval };
    return { event: { case: "renewed" as const, value } };
  }
}
