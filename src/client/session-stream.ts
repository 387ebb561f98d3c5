import {
  draining,
  type Failure,
  type RefusedFailure,
  type TransientFailure,
  unavailable,
} from "./failure.js";
import { afterFailure, FRESH_PACE, slower, WAKE_JITTER_MS } from "./pace.js";
import {
  andThen,
  emit,
  leaveEndpoint,
  lose,
  NO_UPDATE,
  nextBeat,
  preceded,
  RENEW_CONNECTION,
  type Returning,
  reject,
  setTimer,
  stay,
  tryAgain,
  untilReachable,
  waitThen,
  withUpdate,
} from "./session-moves.js";
import type {
  Beat,
  Context,
  EventOf,
  Lease,
  LostReason,
  Outcome,
  Registered,
} from "./session-state.js";

// Cells about the stream: with a good one (`registered`), and while one is opened.

export function acknowledgedRegistered(
  state: Registered,
  event: EventOf<"acknowledged">,
  context: Context,
): Outcome {
  const { beat } = state;
  if (beat === "resting" || !answers(event, state.lease, beat)) return stay(state);
  const quietSince = state.quietSince ?? context.now;
  const lease = renewed(state.lease, event, beat);
  const quiet = context.now - quietSince >= lease.grant.ttlMs;
  const next: Registered = {
    ...state,
    quietSince,
    lease: quiet ? { ...lease, unanswered: 0 } : lease,
    pace: quiet ? FRESH_PACE : state.pace,
  };
  const outcome = goOn(next, beat, context);
  return quiet && context.others !== "none" ? andThen(outcome, { type: "settle" }) : outcome;
}

/** The first answer on a new stream: back again. */
export function acknowledgedAway(
  state: Returning,
  event: EventOf<"acknowledged">,
  context: Context,
): Outcome {
  const { step, lease: held } = state;
  if (step.do !== "greet" || !held || !answers(event, held, step.beat)) return stay(state);
  const lease = renewed(held, event, step.beat);
  const { pace, wanted, unanswered } = state;
  const next: Registered = {
    name: "registered",
    lease,
    beat: step.beat,
    quietSince: context.now,
    update: NO_UPDATE,
    refusal: undefined,
    attempt: 1,
    pace,
    wanted,
    unanswered,
  };
  const { grant } = lease;
  const said = emit(
    state.name === "rejected"
      ? { type: "registered", grant }
      : { type: "reconnected", grant, registeredAnew: grant.leaseId !== state.lostLeaseId },
  );
  return andThen(withUpdate(goOn(next, step.beat, context), context), said);
}

function answers(event: EventOf<"acknowledged">, lease: Lease, beat: Beat): boolean {
  return event.leaseId === lease.grant.leaseId && event.sequence === beat.sequence;
}

function renewed(lease: Lease, event: EventOf<"acknowledged">, beat: Beat): Lease {
  const ttlMs = event.ttlMs ?? lease.grant.ttlMs;
  const intervalMs = event.intervalMs ?? lease.intervalMs;
  const grant = { ...lease.grant, ttlMs };
  return { ...lease, grant, intervalMs, deadlineAt: beat.sentAt + ttlMs };
}

/** After an answer: the next heartbeat one interval after the last was sent, or at once. */
function goOn(state: Registered, answered: Beat, context: Context) {
  if (answered.next === "at-once") return sendBeat(state, context);
  const delayMs = Math.max(0, answered.sentAt + state.lease.intervalMs - context.now);
  const next: Registered = { ...state, beat: "resting" };
  return { state: next, effects: [setTimer("heartbeat", delayMs)] };
}

function sendBeat(state: Registered, context: Context) {
  const { lease, beat, effects } = nextBeat(state.lease, context);
  const next: Registered = { ...state, lease, beat };
  return { state: next, effects };
}

export function heartbeatDue(state: Registered, _event: unknown, context: Context): Outcome {
  return state.beat === "resting" ? sendBeat(state, context) : stay(state);
}

/** A heartbeat in flight may carry the status of before, so another one follows its answer. */
export function statusChanged(state: Registered, _event: unknown, context: Context): Outcome {
  if (state.beat === "resting") return sendBeat(state, context);
  return { state: { ...state, beat: { ...state.beat, next: "at-once" } }, effects: [] };
}

export function leaseLostRegistered(
  state: Registered,
  { leaseId, reason }: EventOf<"lease-lost">,
  context: Context,
): Outcome {
  const { lease, beat, update } = state;
  if (leaseId !== lease.grant.leaseId) return stay(state);
  const mayBeOurs = update.do !== "nothing" && reason === "superseded";
  if (update.do === "register" || mayBeOurs) {
    // The Register under way or waited for gives a new lease; if it was not the cause, a later heartbeat tells.
    return beat === "resting" ? stay(state) : goOn(state, { ...beat, next: "in-time" }, context);
  }
  if (reason === "superseded" && lease.unanswered === 0) return superseded();
  return loseForRegister(state, lostError(reason), context);
}

function loseForRegister(state: Registered, error: Error, context: Context): Outcome {
  const { delayMs, pace } = slower(state.pace, "anew", context.random());
  return lose(state, { error, next: "register", delayMs, pace }, context);
}

export function leaseLostAway(
  state: Returning,
  { leaseId, reason }: EventOf<"lease-lost">,
  context: Context,
): Outcome {
  const { step, lease } = state;
  if (step.do !== "greet" || leaseId !== lease?.grant.leaseId) return stay(state);
  if (reason === "superseded" && lease.unanswered === 0) return superseded();
  return registerAway(state, lostError(reason), context);
}

function registerAway(state: Returning, lastError: Error, context: Context): Outcome {
  // The wait before this stream has spread a crowd; who loses lease after lease waits again.
  const random = state.pace.anew.failures === 0 ? 0 : context.random();
  const { delayMs, pace } = slower(state.pace, "anew", random);
  return waitThen(state, "register", delayMs, context, { pace, lastError });
}

function superseded(): Outcome {
  return { state: { name: "superseded" }, effects: [emit({ type: "superseded" })] };
}

function lostError(reason: LostReason): Error {
  return new Error(`Pulse says that the lease is lost (${reason})`);
}

export function streamEndedRegistered(
  state: Registered,
  { failure }: EventOf<"stream-ended">,
  context: Context,
): Outcome {
  if (failure.kind === "disowned") return loseForRegister(state, failure.error, context);
  if (failure.kind !== "transient") return reject(state, "greet", refusal(failure), context);
  return loseStream(state, failure, context);
}

export function streamEndedAway(
  state: Returning,
  { failure }: EventOf<"stream-ended">,
  context: Context,
): Outcome {
  if (state.step.do !== "greet") return stay(state);
  if (failure.kind === "disowned") return registerAway(state, failure.error, context);
  if (failure.kind !== "transient") return reject(state, "greet", refusal(failure), context);
  return tryAgain(state, "greet", failure, context);
}

/** A heartbeat has nothing that could be invalid: who says so is no Pulse of this kind. */
function refusal(failure: Exclude<Failure, TransientFailure>): Omit<RefusedFailure, "kind"> {
  return { error: failure.error, reason: failure.kind === "refused" ? failure.reason : "invalid" };
}

function loseStream(state: Registered, failure: TransientFailure, context: Context): Outcome {
  const { delayMs, pace } = afterFailure(state.pace, "stream", failure, context);
  const { error, floorMs } = failure;
  const lost = andThen(
    lose(state, { error, next: "greet", delayMs, pace }, context),
    ...leaveEndpoint(context),
  );
  return floorMs === 0 ? untilReachable(lost) : lost;
}

export function ackOverdueRegistered(
  state: Registered,
  _event: unknown,
  context: Context,
): Outcome {
  if (state.beat === "resting") return stay(state);
  return preceded(RENEW_CONNECTION, loseStream(state, silent(), context));
}

export function ackOverdueAway(state: Returning, _event: unknown, context: Context): Outcome {
  if (state.step.do !== "greet") return stay(state);
  return preceded(RENEW_CONNECTION, tryAgain(state, "greet", silent(), context));
}

function silent(): TransientFailure {
  return unavailable("Pulse did not answer a heartbeat in time");
}

/** Pulse is stopping. It says how long to leave it alone; the jitter goes on top of that. */
export function drainingRegistered(
  state: Registered,
  { retryAfterMs }: EventOf<"draining">,
  context: Context,
): Outcome {
  return loseStream(state, draining(retryAfterMs), context);
}

export function drainingAway(
  state: Returning,
  { retryAfterMs }: EventOf<"draining">,
  context: Context,
): Outcome {
  if (state.step.do !== "greet") return stay(state);
  const { delayMs, pace } = afterFailure(state.pace, "stream", draining(retryAfterMs), context);
  return andThen(waitThen(state, "greet", delayMs, context, { pace }), ...leaveEndpoint(context));
}

/** A stall shorter than the TTL has cost nothing; after a longer one the connection may be dead. */
export function wokeRegistered(
  state: Registered,
  { stalledMs }: EventOf<"woke">,
  context: Context,
): Outcome {
  if (stalledMs < state.lease.grant.ttlMs) return stay(state);
  const { error } = unavailable(`this process stood still for ${Math.round(stalledMs / 1_000)} s`);
  const delayMs = context.random() * WAKE_JITTER_MS;
  return preceded(
    RENEW_CONNECTION,
    lose(state, { error, next: "greet", delayMs, pace: FRESH_PACE }, context),
  );
}
