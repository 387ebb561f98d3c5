import { overdue, unavailable } from "./failure.js";
import { ATTEMPT_TIMEOUT_MS, FRESH_PACE, RETURN_JITTER_MS, WAKE_JITTER_MS } from "./pace.js";
import {
  type Away,
  andThen,
  callRegister,
  emit,
  greet,
  NO_UPDATE,
  nextBeat,
  preceded,
  RENEW_CONNECTION,
  type Returning,
  reject,
  setTimer,
  stay,
  tryAgain,
  waitStep,
  waitThen,
  withUpdate,
} from "./session-moves.js";
import type {
  Connecting,
  Context,
  EventOf,
  Lease,
  Outcome,
  Registered,
  Rejected,
} from "./session-state.js";

// Cells about Register while there is no good stream.

/** The first state, and the first attempt. */
export function begin(context: Context): Outcome {
  const state: Connecting = {
    name: "connecting",
    step: waitStep("register", 0, context),
    attempt: 1,
    pace: FRESH_PACE,
    wanted: 1,
    unanswered: 0,
    lease: undefined,
    lastError: undefined,
  };
  return preceded(setTimer("budget", context.standaloneAfterMs), registerDue(state, null, context));
}

export function registerDue(state: Away, _event: unknown, context: Context): Outcome {
  if (state.step.do !== "wait") return stay(state);
  return {
    state: { ...state, step: { do: "register", version: state.wanted, sentAt: context.now } },
    effects: callRegister(state.attempt),
  };
}

export function returnDue(state: Returning, event: unknown, context: Context): Outcome {
  const { step, lease, wanted } = state;
  // A lease of an older version is not worth a heartbeat: Register renews it as well.
  const held = lease?.version === wanted && step.do === "wait" && step.next === "greet";
  return held ? greet(state, lease, context) : registerDue(state, event, context);
}

export function registerSucceeded(
  state: Away,
  event: EventOf<"register-succeeded">,
  context: Context,
): Outcome {
  if (state.step.do !== "register") return stay(state);
  const granted = leaseOf(event, state.step, state.unanswered);
  // With a lease in hand this is a way back, which ends with the first answered heartbeat.
  if (state.lease) return greet({ ...state, unanswered: 0 }, granted, context);
  const { lease, beat, effects } = nextBeat(granted, context);
  const next: Registered = {
    name: "registered",
    lease,
    beat,
    quietSince: undefined,
    update: NO_UPDATE,
    refusal: undefined,
    attempt: 1,
    pace: state.pace,
    wanted: state.wanted,
    unanswered: 0,
  };
  const said = emit({ type: "registered", grant: granted.grant });
  return withUpdate({ state: next, effects: [{ type: "open-stream" }, ...effects, said] }, context);
}

export function leaseOf(
  { grant, intervalMs }: EventOf<"register-succeeded">,
  sent: { readonly version: number; readonly sentAt: number },
  unanswered: number,
): Lease {
  const { version, sentAt } = sent;
  const deadlineAt = sentAt + grant.ttlMs;
  return { grant, intervalMs, sequence: 0, deadlineAt, version, unanswered };
}

export function registerFailed(
  state: Away,
  { failure }: EventOf<"register-failed">,
  context: Context,
): Outcome {
  if (state.step.do !== "register") return stay(state);
  if (failure.kind === "transient") return tryAgain(state, "register", failure, context);
  if (failure.kind === "refused") return reject(state, "register", failure, context);
  const { lease, wanted } = state;
  // A newer description waits, so this one does not matter any more.
  const { unanswered } = state;
  if (state.step.version < wanted) return waitThen(state, "register", 0, context, { unanswered });
  const failed = emit({ type: "failed", error: failure.error });
  if (!lease || lease.version === wanted) return { state: { name: "failed" }, effects: [failed] };
  // Only the update is bad: the description before it was accepted once.
  const back = waitThen({ ...state, wanted: lease.version }, "register", 0, context, {
    unanswered,
  });
  return andThen(back, { type: "discard-update" }, failed);
}

export function registerOverdue(state: Away, _event: unknown, context: Context): Outcome {
  if (state.step.do !== "register") return stay(state);
  const failure = overdue(`Pulse did not answer a Register within ${ATTEMPT_TIMEOUT_MS / 1_000} s`);
  return preceded(
    RENEW_CONNECTION,
    registerFailed(state, { type: "register-failed", failure }, context),
  );
}

export function budgetOver(
  state: Connecting | Rejected,
  _event: unknown,
  { standaloneAfterMs }: Context,
): Outcome {
  if (state.lease) return stay(state);
  const error = state.lastError ?? unavailable("Pulse has not answered yet").error;
  return {
    // A rejection says more than `standalone` would, so that state stays.
    state: state.name === "connecting" ? { ...state, name: "standalone" } : state,
    effects: [emit({ type: "standalone", afterMs: standaloneAfterMs, error })],
  };
}

/** The connection is there again: the rest of a backoff would be waited for nothing. */
export function reachableAway(state: Away, _event: unknown, context: Context): Outcome {
  const { step } = state;
  if (step.do !== "wait" || !step.untilReachable) return stay(state);
  const delayMs = context.random() * RETURN_JITTER_MS;
  if (context.now + delayMs >= step.dueAt) return stay(state);
  return waitThen(state, step.next, delayMs, context);
}

export function updateAway(state: Away): Outcome {
  return { state: { ...state, wanted: state.wanted + 1 }, effects: [] };
}

export function wokeAway(state: Away, _event: unknown, context: Context): Outcome {
  const { step } = state;
  const next = step.do === "wait" ? step.next : step.do;
  const jitterMs = context.random() * WAKE_JITTER_MS;
  // Nobody has mended a refusal by that.
  const isRefused = state.name === "rejected" && step.do === "wait" && !step.untilReachable;
  const delayMs = isRefused ? Math.max(step.dueAt - context.now, jitterMs) : jitterMs;
  return preceded(RENEW_CONNECTION, waitThen(state, next, delayMs, context, { pace: FRESH_PACE }));
}
