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
import {
  type BareConnection,
  clientsOn,
  type SessionConnection,
} from "../../src/client/clients.js";

/** What Pulse says unasked: a lease is lost, it is stopping, or the stream ends with an error. */
type Said = LeaseLostReason | { readonly drainMs: number } | ConnectError;
/** What a stream is told of it. */
type Told = Exclude<Said, LeaseLostReason> | LostLease;
interface LostLease {
  readonly reason: LeaseLostReason;
  readonly leaseId: string;
}

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
  /** Shared connections that are open. */
  connections = 0;
  streams = 0;
  mostStreams = 0;
  /** How often a connection was asked to come up by itself. */
  connects = 0;
  readonly #onReady = new Set<() => void>();
  #generation = 0n;
  /** The lease of each instance, and the newest of all. */
  readonly #leases = new Map<string, string>();
  #lease = "";
  /** What the open streams are told by, and the token that each was opened with. */
  readonly #pushes = new Map<(told: Told) => void, string>();

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
      this.#leases.set(request.instanceId, this.#lease);
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
    return {
      registry: this.#clients(interceptors).registry,
      connect: () => void this.connects++,
      onReady: (listener) => void this.#onReady.add(listener),
      close: () => closed.abort(),
      drop: () => closed.abort(),
    };
  }

  /** A connection that sessions share. */
  readonly dialBare = (): BareConnection => {
    this.dials++;
    this.connections++;
    const ready = new Set<() => void>();
    const comeUp = () => {
      for (const listener of ready) listener();
    };
    this.#onReady.add(comeUp);
    return {
      registryFor: (authorize) => this.#clients([authorize]).registry,
      connect: () => void this.connects++,
      onReady: (listener) => void ready.add(listener),
      close: () => {
        this.connections--;
        this.#onReady.delete(comeUp);
      },
    };
  };

  #clients(interceptors: Interceptor[]) {
    const transport = createRouterTransport(
      ({ service }) => {
        service(RegistryService, this.handlers);
      },
      { transport: { interceptors } },
    );
    return clientsOn({ ...transport, close: () => {} });
  }

  /** The connection comes up, without a call. */
  comeUp(): void {
    for (const listener of this.#onReady) listener();
  }

  /** Says something unasked on the open streams: a lease that is lost is the newest, or the one named. */
  say(what: Said, leaseId = this.#lease): void {
    for (const push of [...this.#pushes.keys()])
      push(typeof what === "number" ? { reason: what, leaseId } : what);
  }

  /** Takes this token no more, and ends the streams that were opened with it. */
  revoke(token: string): void {
    const error = new ConnectError("the token is not valid", Code.Unauthenticated);
    const { admit } = this;
    this.admit = (given, rpc) => {
      if (given === token) throw error;
      return admit(given, rpc);
    };
    for (const [push, opener] of [...this.#pushes]) if (opener === token) push(error);
  }

  /** Forgets every lease, like a Pulse with an empty data directory. */
  forget(): void {
    this.#lease = "";
    this.#leases.clear();
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
    this.streams++;
    this.mostStreams = Math.max(this.mostStreams, this.streams);
    const iterator = requests[Symbol.asyncIterator]();
    const aborted = new Promise<"aborted">((resolve) =>
      signal.addEventListener("abort", () => resolve("aborted"), { once: true }),
    );
    let push = (_: Told) => {};
    const onPush = (told: Told) => push(told);
    this.#pushes.set(onPush, token);
    try {
      let next = iterator.next();
      for (;;) {
        const pushed = new Promise<Told>((resolve) => {
          push = resolve;
        });
        const what = await Promise.race([next, pushed, aborted]);
        if (what === "aborted") return;
        if ("reason" in what) {
          yield { event: { case: "leaseLost" as const, value: what } };
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
      this.#pushes.delete(onPush);
    }
  }

  #answer({ leaseId, sequence }: HeartbeatRequest) {
    if (![...this.#leases.values()].includes(leaseId)) {
      const reason = LeaseLostReason.UNKNOWN;
      return { event: { case: "leaseLost" as const, value: { leaseId, reason } } };
    }
    const ttl = durationFromMs(15_000);
    const heartbeatInterval = durationFromMs(5_000);
    const value = { leaseId, sequence, ttl, heartbeatInterval };
    return { event: { case: "renewed" as const, value } };
  }
}
