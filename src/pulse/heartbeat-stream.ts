import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { CredentialState } from "../../gen/pulse/v1/download_client_pb.js";
import {
  type HeartbeatRequest,
  type HeartbeatResponse,
  HeartbeatResponseSchema,
  LeaseLostReason as ProtoReason,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import type { LeaseLostReason } from "../core/lease.js";
import { oneLine } from "../lib/one-line.js";
import type { Caller } from "./authenticate.js";
import type { HeartbeatOutcome, HeartbeatReport, Leases } from "./leases.js";
import type { LeaseStream } from "./live-lease.js";
import { drainingError, durationOf } from "./status.js";

/** Answers that wait for a client which does not read; past them its requests are not read either. */
const MAX_WAITING = 64;
const MAX_REASON_LENGTH = 256;

/** With what a stream was opened. */
export type StreamOpener = Pick<Caller, "tokenId" | "instanceId">;

/**
 * One heartbeat stream: reads requests, renews their leases, and yields the
 * answers, among them what is said unasked. Its end, however it comes, breaks the
 * leases that still hang on it.
 */
export class HeartbeatStream
  implements LeaseStream, AsyncIterableIterator<HeartbeatResponse, undefined, undefined>
{
  readonly #leases: Leases;
  readonly #leaseIds = new Set<string>();
  readonly #opener: StreamOpener;
  readonly #onClose: (stream: HeartbeatStream) => void;
  readonly #waiting: HeartbeatResponse[] = [];
  #state: { name: "open" } | { name: "ended"; error: unknown } | { name: "closed" } = {
    name: "open",
  };
  #wakeReader: (() => void) | undefined;
  #wakePump: (() => void) | undefined;

  constructor(
    requests: AsyncIterable<HeartbeatRequest>,
    leases: Leases,
    opener: StreamOpener,
    onClose: (stream: HeartbeatStream) => void,
  ) {
    this.#leases = leases;
    this.#opener = opener;
    this.#onClose = onClose;
    void this.#pump(requests);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<HeartbeatResponse, undefined>> {
    for (;;) {
      const value = this.#waiting.shift();
      if (value) {
        this.#wakePump?.();
        return { done: false, value };
      }
      if (this.#state.name !== "open") {
        const error = this.#state.name === "ended" ? this.#state.error : undefined;
        this.#close();
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<HeartbeatResponse, undefined>> {
    this.#close();
    return { done: true, value: undefined };
  }

  leaseLost(leaseId: string, reason: LeaseLostReason): void {
    this.#leaseIds.delete(leaseId);
    this.#push(lostResponse(leaseId, reason));
  }

  /** Id of the bearer token that it was opened with. */
  get tokenId(): string {
    return this.#opener.tokenId;
  }

  /** Ends the stream with an error, after what waits. Nobody has said goodbye by that. */
  cut(error: unknown): void {
    this.#end(error);
  }

  /** Tells the client that Pulse stops, and ends the stream. */
  drain(retryAfterMs: number): void {
    this.#push(
      create(HeartbeatResponseSchema, {
        event: { case: "draining", value: { retryAfter: durationOf(retryAfterMs) } },
      }),
    );
    this.#end(drainingError(retryAfterMs));
  }

  async #pump(requests: AsyncIterable<HeartbeatRequest>): Promise<void> {
    try {
      for await (const request of requests) {
        if (this.#state.name !== "open") return;
        let outcome = request.goodbye ? await this.#goodbye(request) : this.#renew(request);
        if (outcome.kind === "lost" && outcome.reason === "unknown") {
          // Perhaps another node has just given it. If nobody can say, nobody says that it is lost.
          await this.#leases.catchUp();
          outcome = request.goodbye ? await this.#goodbye(request) : this.#renew(request);
        }
        this.#push(this.#answer(request, outcome));
        if (this.#waiting.length >= MAX_WAITING) await this.#untilRead();
      }
      this.#end(undefined);
    } catch (error) {
      this.#end(error);
    }
  }

  #renew(request: HeartbeatRequest): HeartbeatOutcome {
    const { leaseId } = request;
    if (!this.#mayName(leaseId)) return UNKNOWN_LEASE;
    const outcome = this.#leases.renew(
      {
        leaseId,
        status: REPORTABLE[request.status],
        statusReason: oneLine(request.statusReason, MAX_REASON_LENGTH),
        load: request.load,
        isVerified: request.credentialState === CredentialState.VERIFIED,
      },
      this,
    );
    if (outcome.kind === "renewed") this.#leaseIds.add(leaseId);
    return outcome;
  }

  async #goodbye({ leaseId }: HeartbeatRequest): Promise<HeartbeatOutcome> {
    if (!this.#mayName(leaseId)) return UNKNOWN_LEASE;
    this.#leaseIds.delete(leaseId);
    return this.#leases.goodbye(leaseId);
  }

  /** Whether the token that opened the stream is good for the instance that has this lease. */
  #mayName(leaseId: string): boolean {
    const { instanceId } = this.#opener;
    if (instanceId === "" || this.#leaseIds.has(leaseId)) return true;
    return this.#leases.instanceOf(leaseId) === instanceId;
  }

  #answer({ leaseId, sequence }: HeartbeatRequest, outcome: HeartbeatOutcome): HeartbeatResponse {
    if (outcome.kind === "lost") return lostResponse(leaseId, outcome.reason);
    // Written out, since `create` costs more than all the rest of a renewal.
    return {
      $typeName: "pulse.v1.HeartbeatResponse",
      event: {
        case: "renewed",
        value: {
          $typeName: "pulse.v1.LeaseRenewed",
          leaseId,
          sequence,
          ttl: sharedDuration(outcome.grant.ttlMs),
          heartbeatInterval: sharedDuration(outcome.grant.heartbeatIntervalMs),
        },
      },
    };
  }

  #push(response: HeartbeatResponse): void {
    if (this.#state.name !== "open") return;
    this.#waiting.push(response);
    this.#wake();
  }

  #untilRead(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakePump = resolve;
    });
  }

  #end(error: unknown): void {
    if (this.#state.name !== "open") return;
    this.#state = { name: "ended", error };
    this.#wake();
  }

  #close(): void {
    if (this.#state.name === "closed") return;
    this.#state = { name: "closed" };
    this.#wake();
    this.#wakePump?.();
    this.#leases.streamBroke(this, this.#leaseIds);
    this.#leaseIds.clear();
    this.#onClose(this);
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}

const UNKNOWN_LEASE: HeartbeatOutcome = { kind: "lost", reason: "unknown" };

/** What an instance may say of itself; whether it waits for approval is not its affair. */
const REPORTABLE: Readonly<Record<ServiceStatus, HeartbeatReport["status"]>> = {
  [ServiceStatus.UNSPECIFIED]: undefined,
  [ServiceStatus.ONLINE]: "online",
  [ServiceStatus.DEGRADED]: "degraded",
  [ServiceStatus.OFFLINE]: "offline",
  [ServiceStatus.PENDING]: undefined,
};

const LOST_REASONS: Readonly<Record<LeaseLostReason, ProtoReason>> = {
  unknown: ProtoReason.UNKNOWN,
  expired: ProtoReason.EXPIRED,
  superseded: ProtoReason.SUPERSEDED,
  deregistered: ProtoReason.DEREGISTERED,
};

function lostResponse(leaseId: string, reason: LeaseLostReason): HeartbeatResponse {
  return create(HeartbeatResponseSchema, {
    event: { case: "leaseLost", value: { leaseId, reason: LOST_REASONS[reason] } },
  });
}

/** Few different durations are granted, and thousands of times each. */
const durations = new Map<number, Duration>();
const MAX_DURATIONS = 1_000;

function sharedDuration(ms: number): Duration {
  let duration = durations.get(ms);
  if (!duration) {
    if (durations.size >= MAX_DURATIONS) durations.clear();
    duration = durationOf(ms);
    durations.set(ms, duration);
  }
  return duration;
}
