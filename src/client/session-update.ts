import { overdue } from "./failure.js";
import { ATTEMPT_TIMEOUT_MS, REJECTED_JITTER_MS, REJECTED_RETRY_MS, slower } from "./pace.js";
import { emit, NO_UPDATE, nextBeat, setTimer, stay, withUpdate } from "./session-moves.js";
import { leaseOf } from "./session-register.js";
import type { Context, EventOf, Outcome, Registered } from "./session-state.js";

// Cells about an update: Register called beside a good stream. The lease in
// hand is heartbeated on until the new one is there.

/** Starts at once, unless one is under way: that one is followed by another. */
export function updateRegistered(state: Registered, _event: unknown, context: Context): Outcome {
  const next = { ...state, wanted: state.wanted + 1 };
  return withUpdate({ state: next, effects: [] }, context);
}

export function updateSucceeded(
  state: Registered,
  event: EventOf<"register-succeeded">,
  context: Context,
): Outcome {
  if (state.update.do !== "register") return stay(state);
  const granted = leaseOf(event, state.update, state.unanswered);
  // The old lease is void, and with it the heartbeat that may be in flight for it.
  const { lease, beat, effects } = nextBeat(granted, context);
  const next: Registered = {
    ...state,
    lease,
    beat,
    update: NO_UPDATE,
    refusal: undefined,
    attempt: 1,
    unanswered: 0,
  };
  const said = emit({ type: "updated", grant: lease.grant });
  return withUpdate({ state: next, effects: [...effects, said] }, context);
}

export function updateFailed(
  state: Registered,
  { failure }: EventOf<"register-failed">,
  context: Context,
): Outcome {
  if (state.update.do !== "register") return stay(state);
  const { error } = failure;
  const { attempt } = state;
  switch (failure.kind) {
    case "transient": {
      const { delayMs, pace } = slower(state.pace, "register", context.random(), failure.floorMs);
      const unanswered = state.unanswered + 1;
      return {
        state: { ...state, update: { do: "wait" }, pace, unanswered, attempt: attempt + 1 },
        effects: [
          setTimer("retry", delayMs),
          emit({ type: "attempt-failed", attempt, error, retryInMs: delayMs }),
        ],
      };
    }
    case "refused": {
      const delayMs = REJECTED_RETRY_MS + context.random() * REJECTED_JITTER_MS;
      const { reason: refusal } = failure;
      const said =
        refusal === state.refusal ? [] : [emit({ type: "rejected", error, retryInMs: delayMs })];
      return {
        state: { ...state, update: { do: "wait" }, refusal, attempt: attempt + 1 },
        effects: [setTimer("retry", delayMs), ...said],
      };
    }
    case "invalid":
      // A newer description waits, so this one does not matter any more.
      if (state.update.version < state.wanted)
        return withUpdate({ state: { ...state, update: NO_UPDATE }, effects: [] }, context);
      return {
        state: { ...state, update: NO_UPDATE, wanted: state.lease.version, attempt: 1 },
        effects: [{ type: "discard-update" }, emit({ type: "failed", error })],
      };
  }
}

export function updateOverdue(state: Registered, _event: unknown, context: Context): Outcome {
  // The connection is good: its heartbeats are answered.
  const failure = overdue(`Pulse did not answer a Register within ${ATTEMPT_TIMEOUT_MS / 1_000} s`);
  return updateFailed(state, { type: "register-failed", failure }, context);
}

export function updateRetryDue(state: Registered, _event: unknown, context: Context): Outcome {
  if (state.update.do !== "wait") return stay(state);
  return withUpdate({ state: { ...state, update: NO_UPDATE }, effects: [] }, context);
}
