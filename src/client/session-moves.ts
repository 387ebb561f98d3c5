import type { RefusedFailure, TransientFailure } from "./failure.js";
import {
  ATTEMPT_TIMEOUT_MS,
  ackTimeoutMs,
  afterFailure,
  type Pace,
  REJECTED_JITTER_MS,
  REJECTED_RETRY_MS,
} from "./pace.js";
import type { RegistrationEvent } from "./registration.js";
import type {
  Beat,
  Connecting,
  Context,
  Effect,
  Lease,
  Outcome,
  Reconnecting,
  Registered,
  Rejected,
  SessionState,
  Standalone,
  Step,
  TimerName,
  WaitStep,
} from "./session-state.js";

// What the cells of the table are made of.

/** The states without a good stream. */
export type Away = Connecting | Standalone | Reconnecting | Rejected;
/** Those of them that may hold a lease, and so may open a stream. */
export type Returning = Reconnecting | Rejected;

export const NO_UPDATE = { do: "nothing" } as const;
export const RENEW_CONNECTION: Effect = { type: "renew-connection" };

/** To be done after an attempt or a stream has failed; nothing if there is nowhere else to go. */
export function leaveEndpoint({ others }: Context): Effect[] {
  return others === "none" ? [] : [{ type: "leave-endpoint" }];
}

export function emit(event: RegistrationEvent): Effect {
  return { type: "emit", event };
}

export function setTimer(timer: TimerName, delayMs: number): Effect {
  return { type: "set-timer", timer, delayMs };
}

/** The event means nothing here. */
export function stay(state: SessionState): Outcome {
  return { state, effects: [] };
}

/** The same outcome with more to do at its end. */
export function andThen(outcome: Outcome, ...effects: Effect[]): Outcome {
  return { state: outcome.state, effects: [...outcome.effects, ...effects] };
}

/** The same outcome with more to do before it. */
export function preceded(effect: Effect, outcome: Outcome): Outcome {
  return { state: outcome.state, effects: [effect, ...outcome.effects] };
}

/** Effects that call Register. The caller's state notes the version that this sends. */
export function callRegister(attempt: number): Effect[] {
  return [{ type: "register", attempt }, setTimer("register", ATTEMPT_TIMEOUT_MS)];
}

/** A wait that nothing but its time ends. */
export function waitStep(next: "register" | "greet", delayMs: number, context: Context): WaitStep {
  return { do: "wait", next, dueAt: context.now + delayMs, untilReachable: false };
}

/** The same wait, which the connection's coming up may end. */
export function untilReachable(outcome: Outcome): Outcome {
  const { state } = outcome;
  if (!("step" in state) || state.name === "closing" || state.step.do !== "wait") return outcome;
  const step = { ...state.step, untilReachable: true };
  return andThen(
    { state: { ...state, step }, effects: outcome.effects },
    { type: "await-connection" },
  );
}

/** Waits `delayMs`, then does what `next` says. */
export function waitThen(
  state: Away,
  next: "register" | "greet",
  delayMs: number,
  context: Context,
  changed: {
    readonly pace?: Pace;
    readonly attempt?: number;
    readonly unanswered?: number;
    readonly lastError?: Error;
  } = {},
): Outcome {
  return {
    state: {
      ...state,
      unanswered: unansweredBy(state),
      ...changed,
      step: waitStep(next, delayMs, context),
    },
    effects: [setTimer("retry", delayMs)],
  };
}

/** A Register that is given up while in flight may still be committed. */
function unansweredBy(state: Away): number {
  return state.unanswered + (state.step.do === "register" ? 1 : 0);
}

/** Says that the attempt failed, and tries again with backoff. */
export function tryAgain(
  state: Away,
  next: "register" | "greet",
  failure: TransientFailure,
  context: Context,
): Outcome {
  const { delayMs, pace } = afterFailure(state.pace, paceOf(state, next), failure, context);
  const { error, floorMs } = failure;
  const { attempt } = state;
  const changed = { pace, attempt: attempt + 1, lastError: error };
  const failed = andThen(
    waitThen(state, next, delayMs, context, changed),
    ...leaveEndpoint(context),
    emit({ type: "attempt-failed", attempt, error, retryInMs: delayMs }),
  );
  return floorMs === 0 ? untilReachable(failed) : failed;
}

/** Who was registered once comes back sooner than who never was: their cap is lower. */
function paceOf({ lease }: Away, next: "register" | "greet"): keyof Pace {
  if (next === "greet") return "stream";
  return lease ? "anew" : "register";
}

/** Pulse does not want this caller: says so once for each reason, and asks again slowly. */
export function reject(
  state: Away | Registered,
  next: "register" | "greet",
  { error, reason }: Omit<RefusedFailure, "kind">,
  context: Context,
): Outcome {
  const delayMs = REJECTED_RETRY_MS + context.random() * REJECTED_JITTER_MS;
  const told = state.name === "rejected" && state.reason === reason;
  const { pace, wanted, unanswered, lease } = state;
  return {
    state: {
      name: "rejected",
      step: waitStep(next, delayMs, context),
      attempt: state.name === "registered" ? 1 : state.attempt + 1,
      pace,
      wanted,
      unanswered,
      lease,
      lastError: error,
      reason,
    },
    effects: [
      ...leaveEndpoint(context), // it may be no Pulse at all
      setTimer("retry", delayMs),
      ...(told ? [] : [emit({ type: "rejected", error, retryInMs: delayMs })]),
    ],
  };
}

export interface Loss {
  readonly error: Error;
  readonly next: "register" | "greet";
  readonly delayMs: number;
  readonly pace: Pace;
}

/** The stream or the lease is lost: says so, and comes back after `delayMs`. */
export function lose(
  state: Registered,
  { error, next, delayMs, pace }: Loss,
  context: Context,
): Outcome {
  const { lease, wanted, update } = state;
  const returning: Reconnecting = {
    name: "reconnecting",
    step: waitStep(next, delayMs, context),
    attempt: 1,
    pace,
    wanted,
    unanswered: state.unanswered + (update.do === "register" ? 1 : 0),
    lease,
    lastError: error,
    lostLeaseId: lease.grant.leaseId,
  };
  return {
    state: returning,
    effects: [
      setTimer("retry", delayMs),
      emit({ type: "disconnected", error, retryInMs: delayMs }),
    ],
  };
}

/** The next heartbeat of a lease, and how to send it. */
export function nextBeat(
  lease: Lease,
  context: Context,
): { readonly lease: Lease; readonly beat: Beat; readonly effects: readonly Effect[] } {
  const sequence = lease.sequence + 1;
  return {
    lease: { ...lease, sequence },
    beat: { sequence, sentAt: context.now, next: "in-time" },
    effects: [
      { type: "send-heartbeat", leaseId: lease.grant.leaseId, sequence },
      setTimer("ack", ackTimeoutMs(lease.intervalMs)),
    ],
  };
}

/** Opens the stream and sends the first heartbeat of the lease at once. */
export function greet(state: Returning, held: Lease, context: Context): Outcome {
  const { lease, beat, effects } = nextBeat(held, context);
  const step: Step = { do: "greet", beat };
  return { state: { ...state, lease, step }, effects: [{ type: "open-stream" }, ...effects] };
}

/** Registers anew beside the stream if what was registered is not the newest. */
export function withUpdate(
  outcome: { state: Registered; effects: readonly Effect[] },
  context: Context,
): Outcome {
  const { state } = outcome;
  if (state.update.do !== "nothing" || state.wanted === state.lease.version) return outcome;
  return andThen(
    {
      state: {
        ...state,
        update: { do: "register", version: state.wanted, sentAt: context.now },
      },
      effects: outcome.effects,
    },
    ...callRegister(state.attempt),
  );
}
