import { LEAVE_TIMEOUT_MS } from "./pace.js";
import { type Away, emit, setTimer, stay } from "./session-moves.js";
import type { Closing, Effect, EventOf, Lease, Outcome, Registered } from "./session-state.js";

// Cells about the end.

export function closeRegistered(state: Registered, { deregister }: EventOf<"close">): Outcome {
  return sayGoodbye(state.lease, deregister);
}

/** Without a stream there is nobody to say goodbye to; a Deregister is tried all the same. */
export function closeAway(state: Away, { deregister }: EventOf<"close">): Outcome {
  if (state.step.do === "greet" && state.lease) return sayGoodbye(state.lease, deregister);
  if (!deregister) return finish();
  return deregistering([setTimer("leave", LEAVE_TIMEOUT_MS)]);
}

function sayGoodbye(lease: Lease, deregister: boolean): Outcome {
  const { leaseId } = lease.grant;
  const sequence = lease.sequence + 1;
  return {
    state: {
      name: "closing",
      step: { do: "goodbye", leaseId, sequence, next: deregister ? "deregister" : "finish" },
    },
    effects: [{ type: "send-goodbye", leaseId, sequence }, setTimer("leave", LEAVE_TIMEOUT_MS)],
  };
}

function deregistering(effects: readonly Effect[]): Outcome {
  return {
    state: { name: "closing", step: { do: "deregister" } },
    effects: [...effects, { type: "deregister" }],
  };
}

export function goodbyeAnswered(state: Closing, event: EventOf<"acknowledged">): Outcome {
  const { step } = state;
  if (step.do !== "goodbye" || event.sequence !== step.sequence) return stay(state);
  return event.leaseId === step.leaseId ? afterGoodbye(state) : stay(state);
}

/** A lease that is lost needs no goodbye. */
export function goodbyeNeedless(state: Closing, event: EventOf<"lease-lost">): Outcome {
  const { step } = state;
  return step.do === "goodbye" && event.leaseId === step.leaseId
    ? afterGoodbye(state)
    : stay(state);
}

export function afterGoodbye(state: Closing): Outcome {
  if (state.step.do !== "goodbye") return stay(state);
  return state.step.next === "deregister" ? deregistering([]) : finish();
}

export function deregistered(state: Closing): Outcome {
  return state.step.do === "deregister" ? finish() : stay(state);
}

export function finish(): Outcome {
  return { state: { name: "closed" }, effects: [emit({ type: "closed" })] };
}
