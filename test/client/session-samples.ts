import { unavailable } from "../../src/client/failure.js";
import { FRESH_PACE } from "../../src/client/pace.js";
import type { Grant } from "../../src/client/registration.js";
import type {
  Beat,
  Connecting,
  Context,
  Effect,
  EventName,
  EventOf,
  Lease,
  Outcome,
  Registered,
  SessionEvent,
  SessionState,
  Step,
} from "../../src/client/session-state.js";

/** One sample of every state, and of every step within it. */

export const NOW = 50_000;

export function context(now = NOW, random = 0.5, others: Context["others"] = "none"): Context {
  return { now, random: () => random, others, standaloneAfterMs: 120_000 };
}

export const grant: Grant = {
  serviceId: "svc-1",
  instanceId: "inst-1",
  leaseId: "lease-1",
  ttlMs: 15_000,
  generation: 1n,
  epoch: "epoch-1",
  revision: 7n,
  entryName: "haul",
};
export const newGrant: Grant = { ...grant, leaseId: "lease-2", generation: 2n, revision: 8n };

export const lease: Lease = {
  grant,
  intervalMs: 5_000,
  sequence: 3,
  deadlineAt: NOW + 11_000,
  version: 1,
  unanswered: 0,
};
export const beat: Beat = { sequence: 3, sentAt: NOW - 100, next: "in-time" };

const trying = { attempt: 1, pace: FRESH_PACE, wanted: 1, unanswered: 0, lastError: undefined };
export const registering: Step = { do: "register", version: 1, sentAt: NOW - 50 };
/** After an attempt that failed because Pulse was away. */
const away = { do: "wait", dueAt: NOW + 20_000, untilReachable: true } as const;
export const waitToRegister: Step = { ...away, next: "register" };
export const waitToGreet: Step = { ...away, next: "greet" };
/** After a refusal. */
const refused = { do: "wait", dueAt: NOW + 54_000, untilReachable: false } as const;
export const greeting: Step = { do: "greet", beat };

export const connecting: Connecting = {
  name: "connecting",
  ...trying,
  lease: undefined,
  step: registering,
};
export const registered: Registered = {
  name: "registered",
  lease,
  beat,
  quietSince: NOW - 1_000,
  update: { do: "nothing" },
  refusal: undefined,
  attempt: 1,
  pace: FRESH_PACE,
  wanted: 1,
  unanswered: 0,
};
const updating = { do: "register", version: 2, sentAt: NOW - 50 } as const;
const reconnecting = {
  name: "reconnecting",
  ...trying,
  lease,
  lostLeaseId: "lease-1",
} as const;
const rejected = { name: "rejected", ...trying, reason: "told" } as const;
const goodbye = { do: "goodbye", leaseId: "lease-1", sequence: 4 } as const;

export const SAMPLES = {
  "connecting, calling Register": connecting,
  "connecting, waiting": { ...connecting, step: waitToRegister },
  "standalone, calling Register": { ...connecting, name: "standalone" },
  "standalone, waiting": { ...connecting, name: "standalone", step: waitToRegister },
  "registered, heartbeat in flight": registered,
  "registered, resting": { ...registered, beat: "resting" },
  "registered, updating": { ...registered, wanted: 2, update: updating },
  "registered, update waiting": { ...registered, wanted: 2, update: { do: "wait" } },
  "reconnecting, waiting to greet": { ...reconnecting, step: waitToGreet },
  "reconnecting, waiting to register": { ...reconnecting, step: waitToRegister },
  "reconnecting, calling Register": { ...reconnecting, step: registering },
  "reconnecting, greeting": { ...reconnecting, step: greeting },
  "rejected, waiting to register": {
    ...rejected,
    lease: undefined,
    step: { ...refused, next: "register" },
  },
  "rejected, calling Register": { ...rejected, lease: undefined, step: registering },
  "rejected, waiting to greet": { ...rejected, lease, step: { ...refused, next: "greet" } },
  "rejected, greeting": { ...rejected, lease, step: greeting },
  superseded: { name: "superseded" },
  failed: { name: "failed" },
  "closing, goodbye": { name: "closing", step: { ...goodbye, next: "finish" } },
  "closing, goodbye then Deregister": {
    name: "closing",
    step: { ...goodbye, next: "deregister" },
  },
  "closing, Deregister": { name: "closing", step: { do: "deregister" } },
  closed: { name: "closed" },
} as const satisfies Record<string, SessionState>;
export type SampleName = keyof typeof SAMPLES;

/** One of each event, such that it fits the samples: right lease, right sequence. */
export const EVENTS = {
  "register-succeeded": { type: "register-succeeded", grant: newGrant, intervalMs: 5_000 },
  "register-failed": { type: "register-failed", failure: unavailable("away") },
  acknowledged: {
    type: "acknowledged",
    leaseId: "lease-1",
    sequence: 3,
    ttlMs: 15_000,
    intervalMs: 5_000,
  },
  "lease-lost": { type: "lease-lost", leaseId: "lease-1", reason: "expired" },
  draining: { type: "draining", retryAfterMs: 1_000 },
  "stream-ended": { type: "stream-ended", failure: unavailable("away") },
  "retry-due": { type: "retry-due" },
  "heartbeat-due": { type: "heartbeat-due" },
  "register-overdue": { type: "register-overdue" },
  "ack-overdue": { type: "ack-overdue" },
  "budget-over": { type: "budget-over" },
  "leave-overdue": { type: "leave-overdue" },
  reachable: { type: "reachable" },
  woke: { type: "woke", stalledMs: 600_000 },
  update: { type: "update" },
  "status-changed": { type: "status-changed" },
  close: { type: "close", deregister: false },
  deregistered: { type: "deregistered" },
} as const satisfies { [E in EventName]: EventOf<E> };

/** An outcome in one line: the next state and its step, then the effects. */
export function describeOutcome({ state, effects }: Outcome): string {
  return [describeState(state), ...effects.map(describeEffect)].join(" | ");
}

function describeState(state: SessionState): string {
  if (state.name === "registered") {
    const update = state.update.do === "nothing" ? "" : ` update:${state.update.do}`;
    return `registered ${state.beat === "resting" ? "resting" : "in-flight"}${update}`;
  }
  if (!("step" in state)) return state.name;
  const { step } = state;
  return `${state.name} ${step.do}${step.do === "wait" ? `>${step.next}` : ""}`;
}

function describeEffect(effect: Effect): string {
  switch (effect.type) {
    case "set-timer":
      return `${effect.timer} in ${effect.delayMs}`;
    case "cancel-timer":
      return `no ${effect.timer}`;
    case "send-heartbeat":
    case "send-goodbye":
      return `${effect.type} ${effect.leaseId}#${effect.sequence}`;
    case "emit":
      return `says ${effect.event.type}`;
    default:
      return effect.type;
  }
}

export function acknowledgedAs(
  leaseId: string,
  sequence: number,
): Extract<SessionEvent, { type: "acknowledged" }> {
  return { ...EVENTS.acknowledged, leaseId, sequence };
}
