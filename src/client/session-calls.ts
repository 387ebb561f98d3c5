import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HeartbeatRequestSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import type { SessionConnection } from "./clients.js";
import {
  type Described,
  fromHeartbeatResponse,
  fromRegisterResponse,
  toRegisterRequest,
} from "./convert.js";
import { failureOf, type StreamFailure, streamFailureOf, unavailable } from "./failure.js";
import type { Identity } from "./identity.js";
import type { InstanceToken } from "./instance-token.js";
import { createMessageQueue, type MessageQueue } from "./message-queue.js";
import { ATTEMPT_TIMEOUT_MS } from "./pace.js";
import type { ServiceHealth } from "./registration.js";
import type { SessionEvent } from "./session-state.js";

type Heartbeat = MessageInitShape<typeof HeartbeatRequestSchema>;

/** Pulse is told of a deadline a little after the session's own timer, so that the latter goes first. */
const CALL_TIMEOUT_MS = ATTEMPT_TIMEOUT_MS + 1_000;

export interface SessionCallsOptions {
  /** Makes a connection, without retry. */
  readonly dial: () => SessionConnection;
  /** What `dial` calls with first. */
  readonly ownToken: Pick<InstanceToken, "isHeld">;
  readonly identity: () => Promise<Identity>;
  readonly ttlMs: number | undefined;
  /** Gets what a call has brought; `isCurrent` says whether that call still counts. */
  readonly arrive: (event: SessionEvent, isCurrent: () => boolean) => void;
}

/** What one Register sends. */
export interface Registering {
  readonly described: Described;
  readonly health: ServiceHealth | undefined;
  /** The lease that is held, if one is. */
  readonly leaseId: string | undefined;
  /** From 1. */
  readonly attempt: number;
}

/**
 * A session's calls to Pulse: one connection, at most one Register and one
 * stream. What a call brings becomes an event; nothing here throws, and a call
 * that was cancelled brings nothing.
 */
export class SessionCalls {
  readonly #options: SessionCallsOptions;
  #connection: SessionConnection | undefined;
  #register: AbortController | undefined;
  #deregister: AbortController | undefined;
  #stream:
    | { readonly outgoing: MessageQueue<Heartbeat>; readonly controller: AbortController }
    | undefined;

  constructor(options: SessionCallsOptions) {
    this.#options = options;
  }

  async register(registering: Registering): Promise<void> {
    const call = new AbortController();
    this.#register = call;
    const event = await this.#registerOnce(registering, call.signal);
    this.#options.arrive(event, () => this.#register === call);
  }

  async #registerOnce(
    { described, health, leaseId, attempt }: Registering,
    signal: AbortSignal,
  ): Promise<SessionEvent> {
    let identity: Identity;
    try {
      identity = await this.#options.identity();
    } catch (error) {
      return { type: "register-failed", failure: { kind: "invalid", error: asError(error) } };
    }
    try {
      signal.throwIfAborted(); // after a hang-up nothing may connect again
      const request = toRegisterRequest(described, identity, health, this.#options.ttlMs, leaseId);
      const headers = { "grpc-previous-rpc-attempts": String(attempt - 1) };
      const response = await this.#connected().registry.register(request, {
        signal,
        timeoutMs: CALL_TIMEOUT_MS,
        ...(attempt > 1 && { headers }),
      });
      return fromRegisterResponse(response);
    } catch (error) {
      return { type: "register-failed", failure: failureOf(error) };
    }
  }

  cancelRegister(): void {
    this.#register?.abort();
    this.#register = undefined;
  }

  async openStream(): Promise<void> {
    const stream = {
      outgoing: createMessageQueue<Heartbeat>(),
      controller: new AbortController(),
    };
    this.#stream = stream;
    const isCurrent = () => this.#stream === stream;
    let failure: StreamFailure = unavailable("Pulse ended the stream");
    try {
      const { signal } = stream.controller;
      for await (const response of this.#connected().registry.heartbeat(stream.outgoing, {
        signal,
      })) {
        const event = fromHeartbeatResponse(response);
        if (event) this.#options.arrive(event, isCurrent);
      }
    } catch (error) {
      failure = streamFailureOf(error, this.#options.ownToken.isHeld);
    }
    this.#options.arrive({ type: "stream-ended", failure }, isCurrent);
  }

  send(heartbeat: Heartbeat): void {
    this.#stream?.outgoing.push(heartbeat);
  }

  closeStream(): void {
    this.#stream?.outgoing.end();
    // Leaving the iteration would not cancel the call; only its signal does.
    this.#stream?.controller.abort();
    this.#stream = undefined;
  }

  /** Brings `deregistered` in the end, also if it fails. */
  async deregister(): Promise<void> {
    const call = new AbortController();
    this.#deregister = call;
    try {
      const identity = await this.#options.identity();
      call.signal.throwIfAborted();
      await this.#connected().registry.deregister(identity, { signal: call.signal });
    } catch {
      // The registration is left to expire.
    }
    this.#options.arrive({ type: "deregistered" }, () => this.#deregister === call);
  }

  /** Drops the connection, which may be half-open: calls on it would wait for the kernel to notice. */
  renewConnection(): void {
    this.#connection?.drop();
    this.#connection = undefined;
  }

  /** The end of everything. */
  hangUp(): void {
    this.cancelRegister();
    this.closeStream();
    this.#deregister?.abort();
    this.#deregister = undefined;
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** Has the connection come up by itself, without a call; `reachable` arrives each time it has. */
  awaitConnection(): void {
    this.#connected().connect();
  }

  #connected(): SessionConnection {
    if (this.#connection) return this.#connection;
    const connection = this.#options.dial();
    this.#connection = connection;
    const isCurrent = () => this.#connection === connection;
    connection.onReady(() => this.#options.arrive({ type: "reachable" }, isCurrent));
    return connection;
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
