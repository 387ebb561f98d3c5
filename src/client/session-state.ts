/**
 * The heartbeat session as a pure state machine: its states, events and effects.
 * `transition` (session-transition.ts) takes a state, an event, the time and a
 * random source, and returns the next state and the effects that the driver
 * (session.ts) is to carry out. Nothing of it does I/O, reads a clock or sets a
 * timer.
 *
 * | state | meaning |
 * |---|---|
 * | connecting | registering for the first time, within the budget |
 * | standalone | the budget is used up; still registering in the background |
 * | registered | has a lease and a stream; heartbeats are answered, or the first one is in flight |
 * | reconnecting | had a lease; opening the stream again, or registering anew |
 * | rejected | Pulse refuses token or identity; tried again slowly |
 * | superseded | another process registered with this identity; stopped |
 * | failed | the request or the identity file is invalid; stopped |
 * | closing | saying goodbye, at most 2 s |
 * | closed | the end |
 *
 * Invariants, each with a test of the same number in session-state.test.ts:
 *
 *  1. At most one heartbeat of a lease is in flight. (A goodbye does not wait
 *     for the answer to it: nothing follows a goodbye.)
 *  2. There is at most one stream, and at most one Register in flight.
 *  3. A state owns its stream, call and timers; what the next state does not
 *     own is ended by the transition itself (see `owned` in session-transition.ts).
 *  4. `closed` is final: no event changes it, and nothing is asked of the
 *     driver after it. `superseded` and `failed` own nothing and end only in `closed`.
 *  5. Every state but those three has a timer or a call that leads on: the session never
 *     waits for something that may not come.
 *  6. The backoff is fresh again only after a whole TTL of answered heartbeats
 *     on one stream, or after the process stood still: connect-then-die
 *     counts as a failure.
 *  7. After a loss the lease that is held is heartbeated first. Register is
 *     called anew only when the lease is lost, when an update waits, or when Pulse
 *     takes the token no more that it gave the instance of its own.
 *  8. Only a SUPERSEDED for the held lease ends in `superseded`, and only if
 *     no Register of ours can be the cause: none in flight or of unknown outcome.
 *  9. What was said newest is what is registered in the end: versions count
 *     up, and a grant of an older version is followed by another Register.
 * 10. The budget runs from the start to the first grant. When it is used up,
 *     `standalone` is said exactly once.
 * 11. A wait ends within a second once the connection is there, unless Pulse
 *     has asked for it: so Pulse's return is noticed at once, not at the end
 *     of a backoff. It never gets longer by that, and each ends so once only.
 * 12. With several endpoints an attempt that failed is followed by one on another:
 *     soon while one of them is untried, with backoff once all have failed since
 *     the last quiet TTL. Neither the lease nor what is to be done changes by that.
 */
import type { OtherEndpoints } from "../wire/endpoints.js";
import type { Failure, StreamFailure } from "./failure.js";
import type { Pace } from "./pace.js";
import type { Grant, RegistrationEvent } from "./registration.js";

/** A grant, and what is known about the lease since. */
export interface Lease {
  readonly grant: Grant;
  readonly intervalMs: number;
  /** Sequence of the newest heartbeat. */
  readonly sequence: number;
  /** The client's own bound: send time of the last acknowledged heartbeat (or of the Register) + TTL. */
  readonly deadlineAt: number;
  /** Version of the description that was registered. */
  readonly version: number;
  /**
   * Registers before this grant whose answer never came: Pulse may commit one
   * of them late, so that we supersede ourselves. 0 after a quiet TTL.
   */
  readonly unanswered: number;
}

/** A heartbeat in flight. */
export interface Beat {
  readonly sequence: number;
  readonly sentAt: number;
  /** Whether its answer is followed by the next one at its time, or, since the status has changed, at once. */
  readonly next: "in-time" | "at-once";
}

export interface WaitStep {
  readonly do: "wait";
  readonly next: "register" | "greet";
  readonly dueAt: number;
  /** Whether it may end sooner, once the connection is there: Pulse has not asked for it. */
  readonly untilReachable: boolean;
}

/** What a state without a good stream is doing. */
export type Step =
  | WaitStep
  | { readonly do: "register"; readonly version: number; readonly sentAt: number }
  /** The stream is open, and its first heartbeat is not answered yet. */
  | { readonly do: "greet"; readonly beat: Beat };

/** What the four states have in common that try to reach Pulse. */
interface Trying<HeldLease extends Lease | undefined> {
  readonly step: Step;
  /** Number of the attempt under way or waited for, from 1. */
  readonly attempt: number;
  readonly pace: Pace;
  /** Version of the newest description: what should be registered. */
  readonly wanted: number;
  /** Registers since the last grant whose outcome is unknown. */
  readonly unanswered: number;
  readonly lease: HeldLease;
  /** Why the last attempt failed. */
  readonly lastError: Error | undefined;
}

export interface Connecting extends Trying<undefined> {
  readonly name: "connecting";
}
export interface Standalone extends Trying<undefined> {
  readonly name: "standalone";
}
export interface Reconnecting extends Trying<Lease> {
  readonly name: "reconnecting";
  /** Id of the lease held when the stream was lost. */
  readonly lostLeaseId: string;
}
export interface Rejected extends Trying<Lease | undefined> {
  readonly name: "rejected";
  /** The refusal that was told; another one is told again. */
  readonly reason: string;
}
export interface Registered {
  readonly name: "registered";
  readonly lease: Lease;
  readonly beat: Beat | "resting";
  /** When the first heartbeat on this stream was answered. */
  readonly quietSince: number | undefined;
  readonly update: Update;
  /** The refusal of an update that was told; another one is told again. */
  readonly refusal: string | undefined;
  /** Number of the update's attempt, from 1. */
  readonly attempt: number;
  readonly pace: Pace;
  readonly wanted: number;
  readonly unanswered: number;
}
/** Registering anew beside a good stream, since the description has changed. */
export type Update =
  | { readonly do: "nothing" }
  | { readonly do: "register"; readonly version: number; readonly sentAt: number }
  | { readonly do: "wait" };
export interface Closing {
  readonly name: "closing";
  readonly step:
    | {
        readonly do: "goodbye";
        readonly leaseId: string;
        readonly sequence: number;
        readonly next: "deregister" | "finish";
      }
    | { readonly do: "deregister" };
}

/** One tagged state. */
export type SessionState =
  | Connecting
  | Standalone
  | Registered
  | Reconnecting
  | Rejected
  | { readonly name: "superseded" }
  | { readonly name: "failed" }
  | Closing
  | { readonly name: "closed" };
export type StateName = SessionState["name"];
export type StateOf<Name extends StateName> = Extract<SessionState, { name: Name }>;

export type LostReason = "unknown" | "expired" | "superseded" | "deregistered";

export type SessionEvent =
  | { readonly type: "register-succeeded"; readonly grant: Grant; readonly intervalMs: number }
  | { readonly type: "register-failed"; readonly failure: Failure }
  | {
      readonly type: "acknowledged";
      readonly leaseId: string;
      readonly sequence: number;
      /** Undefined: as before. */
      readonly ttlMs: number | undefined;
      readonly intervalMs: number | undefined;
    }
  | { readonly type: "lease-lost"; readonly leaseId: string; readonly reason: LostReason }
  | { readonly type: "draining"; readonly retryAfterMs: number }
  | { readonly type: "stream-ended"; readonly failure: StreamFailure }
  /** The time of the retry has come. */
  | { readonly type: "retry-due" }
  | { readonly type: "heartbeat-due" }
  /** A Register, a heartbeat, the budget or the farewell took too long. */
  | { readonly type: "register-overdue" }
  | { readonly type: "ack-overdue" }
  | { readonly type: "budget-over" }
  | { readonly type: "leave-overdue" }
  /** The connection has come up, not necessarily because of a call. */
  | { readonly type: "reachable" }
  /** The process stood still: connections may be dead and no backoff means anything. */
  | { readonly type: "woke"; readonly stalledMs: number }
  /** The description or the credentials have changed. */
  | { readonly type: "update" }
  | { readonly type: "status-changed" }
  | { readonly type: "close"; readonly deregister: boolean }
  /** The Deregister has ended, well or not. */
  | { readonly type: "deregistered" };
export type EventName = SessionEvent["type"];
export type EventOf<Name extends EventName> = Extract<SessionEvent, { type: Name }>;

export const TIMER_EVENTS = {
  retry: "retry-due",
  heartbeat: "heartbeat-due",
  register: "register-overdue",
  ack: "ack-overdue",
  budget: "budget-over",
  leave: "leave-overdue",
} as const satisfies Record<string, EventName>;
export type TimerName = keyof typeof TIMER_EVENTS;

export type Effect =
  /** Calls Register with the newest description. */
  | { readonly type: "register"; readonly attempt: number }
  | { readonly type: "cancel-register" }
  | { readonly type: "open-stream" }
  | { readonly type: "close-stream" }
  | { readonly type: "send-heartbeat"; readonly leaseId: string; readonly sequence: number }
  | { readonly type: "send-goodbye"; readonly leaseId: string; readonly sequence: number }
  | { readonly type: "deregister" }
  /** Replaces a timer of the same name. */
  | { readonly type: "set-timer"; readonly timer: TimerName; readonly delayMs: number }
  | { readonly type: "cancel-timer"; readonly timer: TimerName }
  /** Has the connection come up by itself while a wait goes on. */
  | { readonly type: "await-connection" }
  /** Drops the connection, which may be half-open; the next call makes another. */
  | { readonly type: "renew-connection" }
  /** The present endpoint has failed: the next connection is to another, if there is one. */
  | { readonly type: "leave-endpoint" }
  /** The present endpoint has proved good: those that failed before are worth a try again. */
  | { readonly type: "settle" }
  /** Goes back to the description that was registered last. */
  | { readonly type: "discard-update" }
  | { readonly type: "emit"; readonly event: RegistrationEvent };

export interface Context {
  /** Monotonic ms. */
  readonly now: number;
  /** Uniform in [0, 1). */
  random(): number;
  /** What there is besides the present endpoint. */
  readonly others: OtherEndpoints;
  /** The budget of the first registration. */
  readonly standaloneAfterMs: number;
}

export interface Outcome {
  readonly state: SessionState;
  readonly effects: readonly Effect[];
}
export type Transition<S extends StateName, E extends EventName> = (
  state: StateOf<S>,
  event: EventOf<E>,
  context: Context,
) => Outcome;
