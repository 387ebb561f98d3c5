import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  HeartbeatRequestSchema,
  HeartbeatResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import type { SessionRegistry } from "./clients.js";
import { createMessageQueue, type MessageQueue } from "./message-queue.js";

type Heartbeat = MessageInitShape<typeof HeartbeatRequestSchema>;

export interface SharedStreamOptions {
  readonly registry: Pick<SessionRegistry, "heartbeat">;
  /** Nobody may join any more: it has ended, or the last session has left. */
  readonly onOver: () => void;
}

/** One session's part in a stream. */
export interface Joining {
  /** What the session sends. It names one lease at a time. */
  readonly heartbeats: AsyncIterable<Heartbeat>;
  /** Its abort is the session's end of it, and of nobody else's. */
  readonly signal: AbortSignal;
  /** Told of each heartbeat that leaves, and of each answer to it. */
  readonly onAsk: () => void;
  readonly onAnswer: () => void;
}

interface Member extends Joining {
  readonly answers: MessageQueue<HeartbeatResponse>;
  leaseId: string | undefined;
}

/**
 * One heartbeat stream that several sessions share. It is opened with the first of
 * them, and cancelled after the last.
 *
 * An answer that names a lease goes to the session that has named it last, or to nobody:
 * the lease of a session that has left, or the former one of a session that has
 * registered anew, which does not want that answer either. Any other answer, and the end,
 * is for all: each would have got the same on a stream of its own.
 */
export class SharedStream {
  readonly #options: SharedStreamOptions;
  readonly #members = new Set<Member>();
  readonly #byLease = new Map<string, Member>();
  readonly #outgoing = createMessageQueue<Heartbeat>();
  readonly #call = new AbortController();
  #end: { readonly error: unknown } | undefined;

  constructor(options: SharedStreamOptions) {
    this.#options = options;
  }

  /** A session's own stream, as it sees it. */
  async *join(joining: Joining): AsyncGenerator<HeartbeatResponse, void> {
    const { signal } = joining;
    if (signal.aborted) return;
    const member: Member = { ...joining, answers: createMessageQueue(), leaseId: undefined };
    const leave = () => this.#remove(member);
    signal.addEventListener("abort", leave, { once: true });
    this.#members.add(member);
    if (this.#members.size === 1) void this.#receive();
    void this.#send(member);
    try {
      yield* member.answers;
      if (!signal.aborted && this.#end?.error !== undefined) throw this.#end.error;
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  }

  /** Ends it for all; undefined: as if Pulse had ended it. */
  end(error: unknown): void {
    if (this.#end) return;
    this.#end = { error };
    this.#outgoing.end();
    this.#call.abort();
    for (const member of this.#members) member.answers.end();
    this.#options.onOver();
  }

  async #receive(): Promise<void> {
    const { signal } = this.#call;
    try {
      for await (const answer of this.#options.registry.heartbeat(this.#outgoing, { signal }))
        this.#handOut(answer);
      this.end(undefined);
    } catch (error) {
      this.end(error);
    }
  }

  async #send(member: Member): Promise<void> {
    for await (const heartbeat of member.heartbeats) {
      if (!this.#members.has(member)) return;
      const { leaseId = "" } = heartbeat;
      if (leaseId !== member.leaseId) {
        this.#forgetLease(member);
        member.leaseId = leaseId;
        this.#byLease.set(leaseId, member);
      }
      member.onAsk();
      this.#outgoing.push(heartbeat);
    }
  }

  #handOut(answer: HeartbeatResponse): void {
    const { event } = answer;
    if (event.case === "renewed" || event.case === "leaseLost") {
      const member = this.#byLease.get(event.value.leaseId);
      member?.onAnswer();
      member?.answers.push(answer);
    } else {
      for (const { answers } of this.#members) answers.push(answer);
    }
  }

  #remove(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#forgetLease(member);
    member.answers.end();
    if (this.#members.size === 0) this.end(undefined);
  }

  #forgetLease(member: Member): void {
    const { leaseId } = member;
    if (leaseId !== undefined && this.#byLease.get(leaseId) === member)
      this.#byLease.delete(leaseId);
  }
}
