import type {
  Context,
  Effect,
  Outcome,
  SessionEvent,
  SessionState,
  Step,
  TimerName,
} from "./session-state.js";
import { TABLE } from "./session-table.js";

/** The next state and what is to be done, in order. */
export function transition(state: SessionState, event: SessionEvent, context: Context): Outcome {
  // The table's type has proved that each cell takes its own state and event.
  const cell = TABLE[state.name][event.type] as (
    state: SessionState,
    event: SessionEvent,
    context: Context,
  ) => Outcome;
  const next = cell(state, event, context);
  if (next.state === state) return next;
  return { state: next.state, effects: [...released(state, next.state), ...next.effects] };
}

/** What a state owns: its stream, its call and its timers. */
export interface Owned {
  readonly stream: boolean;
  readonly register: boolean;
  readonly timers: readonly TimerName[];
}

export function owned(state: SessionState): Owned {
  switch (state.name) {
    case "connecting":
      return ownedBy(state.step, ["budget"]);
    case "rejected":
      return ownedBy(state.step, state.lease ? [] : ["budget"]);
    case "standalone":
    case "reconnecting":
      return ownedBy(state.step, []);
    case "registered": {
      const update = state.update.do;
      return {
        stream: true,
        register: update === "register",
        timers: [
          state.beat === "resting" ? "heartbeat" : "ack",
          ...(update === "register" ? (["register"] as const) : []),
          ...(update === "wait" ? (["retry"] as const) : []),
        ],
      };
    }
    case "closing":
      return { stream: state.step.do === "goodbye", register: false, timers: ["leave"] };
    default:
      return { stream: false, register: false, timers: [] };
  }
}

function ownedBy(step: Step, also: readonly TimerName[]): Owned {
  const timer = ({ wait: "retry", register: "register", greet: "ack" } as const)[step.do];
  return {
    stream: step.do === "greet",
    register: step.do === "register",
    timers: [...also, timer],
  };
}

function released(from: SessionState, to: SessionState): Effect[] {
  const before = owned(from);
  const after = owned(to);
  const effects: Effect[] = before.timers
    .filter((timer) => !after.timers.includes(timer))
    .map((timer) => ({ type: "cancel-timer", timer }));
  if (before.register && !after.register) effects.push({ type: "cancel-register" });
  if (before.stream && !after.stream) effects.push({ type: "close-stream" });
  return effects;
}
