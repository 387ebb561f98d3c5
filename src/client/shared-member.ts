import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import type {
  HeartbeatRequestSchema,
  HeartbeatResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import type { Clock } from "../lib/clock.js";
import type { SessionConnection } from "./clients.js";
import type { InstanceToken } from "./instance-token.js";
import type { SessionEndpoints, SharedConnection } from "./shared-connection.js";
import type { SharedRoute } from "./shared-route.js";
import type { SharedStream } from "./shared-stream.js";

/** How a session's calls are authorized. */
export interface SessionAccess {
  /** A stream that was opened with an own token is good for that instance alone. */
  readonly ownToken: Pick<InstanceToken, "isHeld">;
  readonly authorize: Interceptor;
}

/** What a session is given to call Pulse with, of all that is shared. */
interface Common {
  readonly endpoints: SessionEndpoints;
  readonly authorize: Interceptor;
  readonly clock: Clock;
}

/** What a session's luck hangs on: its stream or, as long as it has none, its last call. */
interface Attempt {
  readonly route: SharedRoute;
  readonly stream: SharedStream | undefined;
  /** When that was asked which has not been answered. */
  askedAt: number | undefined;
}

/** One session's share of a connection: what it takes for its own connection and endpoints. */
export class SharedMember {
  readonly endpoints: SessionEndpoints;
  readonly #shared: SharedConnection;
  readonly #access: SessionAccess;
  readonly #common: Common;
  #attempt: Attempt | undefined;
  /** Ends the session's stream, if it has one. */
  #stream: AbortSignal | undefined;

  constructor(shared: SharedConnection, access: SessionAccess, common: Common) {
    this.#shared = shared;
    this.#access = access;
    this.#common = common;
    const { endpoints } = common;
    const route = () => this.#attempt?.route;
    this.endpoints = {
      get current() {
        return endpoints.current;
      },
      get others() {
        return endpoints.others;
      },
      leave() {
        const left = route();
        if (left) shared.leave(left);
      },
      settle() {
        const good = route();
        if (good) shared.settle(good);
      },
    };
  }

  readonly dial = (): SessionConnection => {
    const shared = this.#shared;
    const listeners: (() => void)[] = [];
    const user = {
      onReady() {
        for (const listener of listeners) listener();
      },
    };
    shared.enter(user);
    const { authorize } = this.#access;
    return {
      registry: {
        register: (request, options) => {
          const { route } = shared;
          // An update beside a stream is not what a failure would be about.
          const attempt = this.#hasStream ? undefined : this.#begin(route);
          const call = route.call(options.signal, (signal) =>
            route.connection.registryFor(authorize).register(request, { ...options, signal }),
          );
          return call.finally(() => {
            if (attempt) attempt.askedAt = undefined;
          });
        },
        heartbeat: (heartbeats, { signal }) => this.#heartbeat(heartbeats, signal),
        deregister: (request, options) =>
          shared.route.connection.registryFor(authorize).deregister(request, options),
      },
      connect: () => {
        shared.connect();
        this.#attempt = { route: shared.route, stream: undefined, askedAt: undefined };
      },
      onReady: (listener) => void listeners.push(listener),
      close: () => shared.exit(user),
      drop: () => shared.exit(user, this.#broken()),
    };
  };

  get #hasStream(): boolean {
    return this.#stream?.aborted === false;
  }

  #begin(route: SharedRoute, stream?: SharedStream): Attempt {
    const attempt = { route, stream, askedAt: this.#common.clock.now() };
    this.#attempt = attempt;
    return attempt;
  }

  async *#heartbeat(
    heartbeats: AsyncIterable<MessageInitShape<typeof HeartbeatRequestSchema>>,
    signal: AbortSignal,
  ): AsyncGenerator<HeartbeatResponse, void> {
    const { clock, authorize } = this.#common;
    const { route } = this.#shared;
    const { ownToken, authorize: authorizeOwn } = this.#access;
    const stream = route.streamFor(ownToken.isHeld ? authorizeOwn : authorize);
    const attempt = this.#begin(route, stream);
    this.#stream = signal;
    try {
      yield* stream.join({
        heartbeats,
        signal,
        onAsk: () => {
          attempt.askedAt = clock.now();
        },
        onAnswer: () => {
          if (attempt.askedAt !== undefined) route.noteAnswer(attempt.askedAt);
          attempt.askedAt = undefined;
        },
      });
    } finally {
      if (this.#stream === signal) this.#stream = undefined;
    }
  }

  /**
   * The route, if it may be half-open. It is not if something was answered on it that was
   * asked later: then this session's stream is stuck, or a Register slow, and the others
   * are not to be torn for that. The next stream is another one all the same.
   */
  #broken(): SharedRoute | undefined {
    if (!this.#attempt) return undefined;
    const { route, stream, askedAt } = this.#attempt;
    if (askedAt === undefined || !route.hasAnsweredSince(askedAt)) return route;
    if (stream) route.retire(stream);
    return undefined;
  }
}
