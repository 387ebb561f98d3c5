import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Failure, unavailable } from "../../src/client/failure.js";
import type { RegistrationEvent } from "../../src/client/registration.js";
import { begin } from "../../src/client/session-register.js";
import {
  type Effect,
  type SessionEvent,
  type SessionState,
  type StateName,
  TIMER_EVENTS,
} from "../../src/client/session-state.js";
import { TABLE } from "../../src/client/session-table.js";
import { owned, transition } from "../../src/client/session-transition.js";
import { createBackoff } from "../../src/lib/backoff.js";
import {
  acknowledgedAs,
  connecting,
  context,
  describeOutcome,
  EVENTS,
  grant,
  lease,
  NOW,
  newGrant,
  registered,
  SAMPLES,
  type SampleName,
} from "./session-samples.js";

/** Each sample and the events that change something. Any other event must change nothing and ask for nothing. */
const EXPECTED: Record<SampleName, Partial<Record<SessionEvent["type"], string>>> = {
  "connecting, calling Register": {
    "register-succeeded":
      "registered in-flight | no budget | no register | cancel-register | open-stream | send-heartbeat lease-2#1 | ack in 7500 | says registered",
    "register-failed":
      "connecting wait>register | no register | cancel-register | retry in 1000 | says attempt-failed | await-connection",
    "register-overdue":
      "connecting wait>register | no register | cancel-register | renew-connection | retry in 1000 | says attempt-failed | await-connection",
    "budget-over": "standalone register | no budget | says standalone",
    woke: "connecting wait>register | no register | cancel-register | renew-connection | retry in 250",
    update: "connecting register",
    close: "closed | no budget | no register | cancel-register | says closed",
  },
  "connecting, waiting": {
    "retry-due": "connecting register | no retry | register | register in 10000",
    "budget-over": "standalone wait>register | no budget | says standalone",
    reachable: "connecting wait>register | retry in 250",
    woke: "connecting wait>register | renew-connection | retry in 250",
    update: "connecting wait>register",
    close: "closed | no budget | no retry | says closed",
  },
  "standalone, calling Register": {
    "register-succeeded":
      "registered in-flight | no register | cancel-register | open-stream | send-heartbeat lease-2#1 | ack in 7500 | says registered",
    "register-failed":
      "standalone wait>register | no register | cancel-register | retry in 1000 | says attempt-failed | await-connection",
    "register-overdue":
      "standalone wait>register | no register | cancel-register | renew-connection | retry in 1000 | says attempt-failed | await-connection",
    woke: "standalone wait>register | no register | cancel-register | renew-connection | retry in 250",
    update: "standalone register",
    close: "closed | no register | cancel-register | says closed",
  },
  "standalone, waiting": {
    "retry-due": "standalone register | no retry | register | register in 10000",
    reachable: "standalone wait>register | retry in 250",
    woke: "standalone wait>register | renew-connection | retry in 250",
    update: "standalone wait>register",
    close: "closed | no retry | says closed",
  },
  "registered, heartbeat in flight": {
    acknowledged: "registered resting | no ack | heartbeat in 4900",
    "lease-lost":
      "reconnecting wait>register | no ack | close-stream | retry in 500 | says disconnected",
    draining: "reconnecting wait>greet | no ack | close-stream | retry in 1250 | says disconnected",
    "stream-ended":
      "reconnecting wait>greet | no ack | close-stream | retry in 250 | says disconnected | await-connection",
    "ack-overdue":
      "reconnecting wait>greet | no ack | close-stream | renew-connection | retry in 250 | says disconnected | await-connection",
    woke: "reconnecting wait>greet | no ack | close-stream | renew-connection | retry in 250 | says disconnected",
    update: "registered in-flight update:register | register | register in 10000",
    "status-changed": "registered in-flight",
    close: "closing goodbye | no ack | send-goodbye lease-1#4 | leave in 2000",
  },
  "registered, resting": {
    "lease-lost":
      "reconnecting wait>register | no heartbeat | close-stream | retry in 500 | says disconnected",
    draining:
      "reconnecting wait>greet | no heartbeat | close-stream | retry in 1250 | says disconnected",
    "stream-ended":
      "reconnecting wait>greet | no heartbeat | close-stream | retry in 250 | says disconnected | await-connection",
    "heartbeat-due": "registered in-flight | no heartbeat | send-heartbeat lease-1#4 | ack in 7500",
    woke: "reconnecting wait>greet | no heartbeat | close-stream | renew-connection | retry in 250 | says disconnected",
    update: "registered resting update:register | register | register in 10000",
    "status-changed":
      "registered in-flight | no heartbeat | send-heartbeat lease-1#4 | ack in 7500",
    close: "closing goodbye | no heartbeat | send-goodbye lease-1#4 | leave in 2000",
  },
  "registered, updating": {
    "register-succeeded":
      "registered in-flight | no register | cancel-register | send-heartbeat lease-2#1 | ack in 7500 | says updated",
    "register-failed":
      "registered in-flight update:wait | no register | cancel-register | retry in 1000 | says attempt-failed",
    acknowledged: "registered resting update:register | no ack | heartbeat in 4900",
    "lease-lost": "registered resting update:register | no ack | heartbeat in 4900",
    draining:
      "reconnecting wait>greet | no ack | no register | cancel-register | close-stream | retry in 1250 | says disconnected",
    "stream-ended":
      "reconnecting wait>greet | no ack | no register | cancel-register | close-stream | retry in 250 | says disconnected | await-connection",
    "register-overdue":
      "registered in-flight update:wait | no register | cancel-register | retry in 1000 | says attempt-failed",
    "ack-overdue":
      "reconnecting wait>greet | no ack | no register | cancel-register | close-stream | renew-connection | retry in 250 | says disconnected | await-connection",
    woke: "reconnecting wait>greet | no ack | no register | cancel-register | close-stream | renew-connection | retry in 250 | says disconnected",
    update: "registered in-flight update:register",
    "status-changed": "registered in-flight update:register",
    close:
      "closing goodbye | no ack | no register | cancel-register | send-goodbye lease-1#4 | leave in 2000",
  },
  "registered, update waiting": {
    acknowledged: "registered resting update:wait | no ack | heartbeat in 4900",
    "lease-lost":
      "reconnecting wait>register | no ack | close-stream | retry in 500 | says disconnected",
    draining: "reconnecting wait>greet | no ack | close-stream | retry in 1250 | says disconnected",
    "stream-ended":
      "reconnecting wait>greet | no ack | close-stream | retry in 250 | says disconnected | await-connection",
    "retry-due": "registered in-flight update:register | no retry | register | register in 10000",
    "ack-overdue":
      "reconnecting wait>greet | no ack | close-stream | renew-connection | retry in 250 | says disconnected | await-connection",
    woke: "reconnecting wait>greet | no ack | close-stream | renew-connection | retry in 250 | says disconnected",
    update: "registered in-flight update:wait",
    "status-changed": "registered in-flight update:wait",
    close: "closing goodbye | no ack | no retry | send-goodbye lease-1#4 | leave in 2000",
  },
  "reconnecting, waiting to greet": {
    "retry-due":
      "reconnecting greet | no retry | open-stream | send-heartbeat lease-1#4 | ack in 7500",
    reachable: "reconnecting wait>greet | retry in 250",
    woke: "reconnecting wait>greet | renew-connection | retry in 250",
    update: "reconnecting wait>greet",
    close: "closed | no retry | says closed",
  },
  "reconnecting, waiting to register": {
    "retry-due": "reconnecting register | no retry | register | register in 10000",
    reachable: "reconnecting wait>register | retry in 250",
    woke: "reconnecting wait>register | renew-connection | retry in 250",
    update: "reconnecting wait>register",
    close: "closed | no retry | says closed",
  },
  "reconnecting, calling Register": {
    "register-succeeded":
      "reconnecting greet | no register | cancel-register | open-stream | send-heartbeat lease-2#1 | ack in 7500",
    "register-failed":
      "reconnecting wait>register | no register | cancel-register | retry in 500 | says attempt-failed | await-connection",
    "register-overdue":
      "reconnecting wait>register | no register | cancel-register | renew-connection | retry in 500 | says attempt-failed | await-connection",
    woke: "reconnecting wait>register | no register | cancel-register | renew-connection | retry in 250",
    update: "reconnecting register",
    close: "closed | no register | cancel-register | says closed",
  },
  "reconnecting, greeting": {
    acknowledged: "registered resting | no ack | heartbeat in 4900 | says reconnected",
    "lease-lost": "reconnecting wait>register | no ack | close-stream | retry in 0",
    draining: "reconnecting wait>greet | no ack | close-stream | retry in 1250",
    "stream-ended":
      "reconnecting wait>greet | no ack | close-stream | retry in 250 | says attempt-failed | await-connection",
    "ack-overdue":
      "reconnecting wait>greet | no ack | close-stream | renew-connection | retry in 250 | says attempt-failed | await-connection",
    woke: "reconnecting wait>greet | no ack | close-stream | renew-connection | retry in 250",
    update: "reconnecting greet",
    close: "closing goodbye | no ack | send-goodbye lease-1#4 | leave in 2000",
  },
  "rejected, waiting to register": {
    "retry-due": "rejected register | no retry | register | register in 10000",
    "budget-over": "rejected wait>register | says standalone",
    woke: "rejected wait>register | renew-connection | retry in 54000",
    update: "rejected wait>register",
    close: "closed | no budget | no retry | says closed",
  },
  "rejected, calling Register": {
    "register-succeeded":
      "registered in-flight | no budget | no register | cancel-register | open-stream | send-heartbeat lease-2#1 | ack in 7500 | says registered",
    "register-failed":
      "rejected wait>register | no register | cancel-register | retry in 1000 | says attempt-failed | await-connection",
    "register-overdue":
      "rejected wait>register | no register | cancel-register | renew-connection | retry in 1000 | says attempt-failed | await-connection",
    "budget-over": "rejected register | says standalone",
    woke: "rejected wait>register | no register | cancel-register | renew-connection | retry in 250",
    update: "rejected register",
    close: "closed | no budget | no register | cancel-register | says closed",
  },
  "rejected, waiting to greet": {
    "retry-due": "rejected greet | no retry | open-stream | send-heartbeat lease-1#4 | ack in 7500",
    woke: "rejected wait>greet | renew-connection | retry in 54000",
    update: "rejected wait>greet",
    close: "closed | no retry | says closed",
  },
  "rejected, greeting": {
    acknowledged: "registered resting | no ack | heartbeat in 4900 | says registered",
    "lease-lost": "rejected wait>register | no ack | close-stream | retry in 0",
    draining: "rejected wait>greet | no ack | close-stream | retry in 1250",
    "stream-ended":
      "rejected wait>greet | no ack | close-stream | retry in 250 | says attempt-failed | await-connection",
    "ack-overdue":
      "rejected wait>greet | no ack | close-stream | renew-connection | retry in 250 | says attempt-failed | await-connection",
    woke: "rejected wait>greet | no ack | close-stream | renew-connection | retry in 250",
    update: "rejected greet",
    close: "closing goodbye | no ack | send-goodbye lease-1#4 | leave in 2000",
  },
  superseded: {
    close: "closed | says closed",
  },
  failed: {
    close: "closed | says closed",
  },
  "closing, goodbye": {
    "lease-lost": "closed | no leave | close-stream | says closed",
    "stream-ended": "closed | no leave | close-stream | says closed",
    "leave-overdue": "closed | no leave | close-stream | says closed",
  },
  "closing, goodbye then Deregister": {
    "lease-lost": "closing deregister | close-stream | deregister",
    "stream-ended": "closing deregister | close-stream | deregister",
    "leave-overdue": "closed | no leave | close-stream | says closed",
  },
  "closing, Deregister": {
    "leave-overdue": "closed | no leave | says closed",
    deregistered: "closed | no leave | says closed",
  },
  closed: {},
};

describe("the table of states and events", () => {
  it("has a sample of every state and an event of every kind", () => {
    const states = new Set(Object.values(SAMPLES).map((sample) => sample.name));
    expect([...states].sort()).toEqual(Object.keys(TABLE).sort());
    for (const row of Object.values(TABLE))
      expect(Object.keys(row).sort()).toEqual(Object.keys(EVENTS).sort());
  });

  const cells = Object.entries(SAMPLES).flatMap(([name, state]) =>
    Object.values(EVENTS).map((event) => ({ name: name as SampleName, state, event })),
  );
  it.each(cells)("$name × $event.type", ({ name, state, event }) => {
    const outcome = transition(state, event, context());
    const expected = EXPECTED[name][event.type];
    if (expected === undefined) expect(outcome).toEqual({ state, effects: [] });
    else expect(describeOutcome(outcome)).toBe(expected);
  });
});

/** Runs events one after another, at their times, and gathers the effects. */
function run(state: SessionState, ...steps: [event: SessionEvent, now?: number][]) {
  const effects: Effect[] = [];
  let current = state;
  for (const [event, now] of steps) {
    const outcome = transition(current, event, context(now));
    current = outcome.state;
    effects.push(...outcome.effects);
  }
  return { state: current, effects };
}

function eventsIn(effects: readonly Effect[]): RegistrationEvent[] {
  return effects.flatMap((effect) => (effect.type === "emit" ? [effect.event] : []));
}

const refused = (reason: string): SessionEvent => ({
  type: "register-failed",
  failure: { kind: "refused", error: new Error(reason), reason },
});
const invalid: SessionEvent = {
  type: "register-failed",
  failure: { kind: "invalid", error: new Error("service.name: is empty") },
};
const disowned: SessionEvent = {
  type: "stream-ended",
  failure: { kind: "disowned", error: new Error("the token is not valid") },
};
const lost = (reason: "unknown" | "expired" | "superseded" | "deregistered"): SessionEvent => ({
  type: "lease-lost",
  leaseId: "lease-1",
  reason,
});

describe("invariant 1: one heartbeat of a lease in flight", () => {
  it("holds the next heartbeat back until the last is answered", () => {
    const { state, effects } = run(
      registered,
      [EVENTS["heartbeat-due"]],
      [EVENTS["status-changed"]],
    );
    expect(effects).toEqual([]);
    const after = transition(state, EVENTS.acknowledged, context());
    expect(describeOutcome(after)).toBe(
      "registered in-flight | send-heartbeat lease-1#4 | ack in 7500",
    );
  });

  it("ignores an answer to another heartbeat or another lease", () => {
    for (const event of [acknowledgedAs("lease-1", 2), acknowledgedAs("lease-0", 3)])
      expect(transition(registered, event, context())).toEqual({ state: registered, effects: [] });
  });

  it("sends the next heartbeat one interval after the last was sent, however late its answer", () => {
    const sentAt = NOW - 100;
    expect(
      describeOutcome(transition(registered, EVENTS.acknowledged, context(sentAt + 7_000))),
    ).toContain("heartbeat in 0");
  });

  it("adopts the TTL and interval of each answer, and bounds the lease by when the heartbeat was sent", () => {
    const { state } = run(registered, [
      { ...EVENTS.acknowledged, ttlMs: 60_000, intervalMs: 20_000 },
    ]);
    expect(state).toMatchObject({
      lease: { intervalMs: 20_000, grant: { ttlMs: 60_000 }, deadlineAt: NOW - 100 + 60_000 },
    });
    expect(run(state, [EVENTS["heartbeat-due"]]).effects).toContainEqual({
      type: "set-timer",
      timer: "ack",
      delayMs: 25_000,
    });
  });
});

describe("invariant 6: only a quiet TTL makes the backoff fresh", () => {
  const tired = {
    ...registered.pace,
    stream: createBackoff({ baseMs: 500, factor: 2, capMs: 15_000 }, 4),
  };
  const died = (state: SessionState) =>
    eventsIn(run(state, [EVENTS["stream-ended"]]).effects).map(
      (event) => "retryInMs" in event && event.retryInMs,
    );

  it("counts connect-then-die as a failure", () => {
    const { state } = run({ ...registered, pace: tired, quietSince: undefined }, [
      EVENTS.acknowledged,
    ]);
    expect(died(state)).toEqual([4_000]);
  });

  it("starts anew after answered heartbeats for one TTL", () => {
    const { state } = run({ ...registered, pace: tired, quietSince: NOW - 15_000 }, [
      EVENTS.acknowledged,
    ]);
    expect(died(state)).toEqual([250]);
  });

  it("grows from 0.5 s to 15 s", () => {
    let state: SessionState = registered;
    const ceilings: number[] = [];
    for (let i = 0; i < 8; i++) {
      const outcome = run(state, [EVENTS["stream-ended"]], [EVENTS["retry-due"]]);
      for (const effect of outcome.effects)
        if (effect.type === "set-timer" && effect.timer === "retry")
          ceilings.push(effect.delayMs * 2);
      state = outcome.state;
    }
    expect(ceilings).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });

  it("registers anew with growing waits if each new lease is lost at once", () => {
    let state: SessionState = registered;
    const ceilings: number[] = [];
    for (let i = 0; i < 3; i++) {
      const leaseId = `lease-${i + 1}`;
      const outcome = run(
        state,
        [{ type: "lease-lost", leaseId, reason: "unknown" }],
        [EVENTS["retry-due"]],
        [
          {
            type: "register-succeeded",
            grant: { ...grant, leaseId: `lease-${i + 2}` },
            intervalMs: 5_000,
          },
        ],
      );
      for (const effect of outcome.effects)
        if (effect.type === "set-timer" && effect.timer === "retry")
          ceilings.push(effect.delayMs * 2);
      state = outcome.state;
    }
    expect(ceilings).toEqual([1_000, 2_000, 4_000]);
  });

  it("registers anew at once on the way back, which was waited for, but not again and again", () => {
    let state: SessionState = SAMPLES["reconnecting, greeting"];
    const waits: number[] = [];
    for (let i = 0; i < 3; i++) {
      const leaseId = `lease-${i + 1}`;
      const granted = { ...grant, leaseId: `lease-${i + 2}` };
      const outcome = run(
        state,
        [{ type: "lease-lost", leaseId, reason: "unknown" }],
        [EVENTS["retry-due"]],
        [{ type: "register-succeeded", grant: granted, intervalMs: 5_000 }],
      );
      for (const effect of outcome.effects)
        if (effect.type === "set-timer" && effect.timer === "retry") waits.push(effect.delayMs);
      state = outcome.state;
    }
    expect(waits).toEqual([0, 1_000, 2_000]); // half of 2 s and of 4 s
  });

  it("grows up to 15 s for who was registered before: Pulse's return is worth more to it", () => {
    let state: SessionState = SAMPLES["reconnecting, calling Register"];
    const ceilings: number[] = [];
    for (let i = 0; i < 6; i++) {
      const outcome = run(state, [EVENTS["register-failed"]], [EVENTS["retry-due"]]);
      for (const effect of outcome.effects)
        if (effect.type === "set-timer" && effect.timer === "retry")
          ceilings.push(effect.delayMs * 2);
      state = outcome.state;
    }
    expect(ceilings).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  });
});

describe("invariant 7: the lease in hand goes first", () => {
  it.each(["unknown", "expired", "deregistered"] as const)(
    "registers anew within 1 s when the lease is %s, and says so once it is answered",
    (reason) => {
      const { state, effects } = run(
        registered,
        [lost(reason)],
        [EVENTS["retry-due"]],
        [EVENTS["register-succeeded"]],
        [acknowledgedAs("lease-2", 1)],
      );
      expect(effects).toContainEqual({ type: "set-timer", timer: "retry", delayMs: 500 });
      expect(state.name).toBe("registered");
      expect(eventsIn(effects).at(-1)).toMatchObject({ type: "reconnected", registeredAnew: true });
    },
  );

  it("says that nothing was registered anew if the lease has held", () => {
    const { effects } = run(
      registered,
      [EVENTS["stream-ended"]],
      [EVENTS["retry-due"]],
      [acknowledgedAs("lease-1", 4)],
    );
    expect(effects.some((effect) => effect.type === "register")).toBe(false);
    expect(eventsIn(effects).at(-1)).toMatchObject({ type: "reconnected", registeredAnew: false });
  });

  it("ignores the loss of an older lease", () => {
    const event: SessionEvent = { type: "lease-lost", leaseId: "lease-0", reason: "superseded" };
    expect(transition(registered, event, context()).state).toBe(registered);
  });

  it("takes a grant of another epoch whole: sequence and lease begin anew", () => {
    const other = { ...newGrant, epoch: "epoch-2", generation: 1n };
    const { state } = run(SAMPLES["reconnecting, calling Register"], [
      { type: "register-succeeded", grant: other, intervalMs: 5_000 },
    ]);
    expect(state).toMatchObject({ lease: { grant: other, sequence: 1 } });
  });
});

describe("invariant 8: superseded by another process only", () => {
  it("stops when the lease in hand is superseded", () => {
    const { state, effects } = run(registered, [lost("superseded")]);
    expect(state).toEqual({ name: "superseded" });
    expect(eventsIn(effects)).toEqual([{ type: "superseded" }]);
  });

  it("goes on while a Register of its own is in flight or waits", () => {
    for (const name of ["registered, updating", "registered, update waiting"] as const)
      expect(run(SAMPLES[name], [lost("superseded")]).state.name).toBe("registered");
  });

  it("registers anew if an earlier Register went unanswered: Pulse may have committed that one late", () => {
    const { state } = run(
      connecting,
      [EVENTS["register-overdue"]],
      [EVENTS["retry-due"]],
      [{ ...EVENTS["register-succeeded"], grant }],
      [lost("superseded")],
    );
    expect(state).toMatchObject({ name: "reconnecting", step: { do: "wait", next: "register" } });
  });

  it("stops all the same once that doubt is a quiet TTL old", () => {
    const doubtful = {
      ...registered,
      lease: { ...lease, unanswered: 1 },
      quietSince: NOW - 15_000,
    };
    expect(run(doubtful, [EVENTS.acknowledged], [lost("superseded")]).state.name).toBe(
      "superseded",
    );
  });

  it("does not greet with a lease that its own cancelled update may have superseded", () => {
    const { state } = run(
      SAMPLES["registered, updating"],
      [EVENTS["stream-ended"]],
      [EVENTS["retry-due"]],
    );
    expect(state).toMatchObject({ name: "reconnecting", step: { do: "register", version: 2 } });
  });
});

describe("invariant 9: the newest description wins", () => {
  it("registers once more if the description changed while Register was in flight", () => {
    const { state, effects } = run(
      SAMPLES["registered, updating"],
      [EVENTS.update],
      [EVENTS.update],
      [EVENTS["register-succeeded"]],
    );
    expect(effects.filter((effect) => effect.type === "register")).toHaveLength(1);
    expect(state).toMatchObject({ update: { do: "register", version: 4 } });
  });

  it("registers the newest on return if Pulse was away", () => {
    const { effects } = run(
      registered,
      [EVENTS["stream-ended"]],
      [EVENTS.update],
      [EVENTS["retry-due"]],
    );
    expect(effects.filter((effect) => effect.type === "register")).toHaveLength(1);
    expect(effects.some((effect) => effect.type === "open-stream")).toBe(false);
  });

  it("keeps the registration when an update is invalid, and says so", () => {
    const { state, effects } = run(SAMPLES["registered, updating"], [invalid]);
    expect(state).toMatchObject({ name: "registered", wanted: 1, update: { do: "nothing" } });
    expect(effects).toContainEqual({ type: "discard-update" });
    expect(eventsIn(effects)).toMatchObject([{ type: "failed" }]);
  });

  it("goes back to the accepted description when an update made meanwhile is invalid", () => {
    const { state, effects } = run(
      {
        ...SAMPLES["reconnecting, calling Register"],
        wanted: 2,
        step: { do: "register", version: 2, sentAt: NOW },
      },
      [invalid],
      [EVENTS["retry-due"]],
    );
    expect(effects).toContainEqual({ type: "discard-update" });
    expect(state).toMatchObject({ name: "reconnecting", step: { do: "register", version: 1 } });
  });

  it("says nothing of an invalid description that a newer one has replaced already", () => {
    const { state, effects } = run(SAMPLES["registered, updating"], [EVENTS.update], [invalid]);
    expect(state).toMatchObject({ update: { do: "register", version: 3 } });
    expect(eventsIn(effects)).toEqual([]);
  });
});

describe("invariant 10: the budget", () => {
  it("says standalone once, with the last error, and goes on trying", () => {
    const { state, effects } = run(
      connecting,
      [EVENTS["register-failed"]],
      [EVENTS["budget-over"]],
      [EVENTS["budget-over"]],
    );
    expect(state).toMatchObject({ name: "standalone", step: { do: "wait" } });
    const said = eventsIn(effects).filter((event) => event.type === "standalone");
    expect(said).toMatchObject([{ afterMs: 120_000, error: { message: "[unavailable] away" } }]);
  });

  it("also lets a program go on that Pulse refuses, which stays rejected", () => {
    const { state, effects } = run(connecting, [refused("bad token")], [EVENTS["budget-over"]]);
    expect(state.name).toBe("rejected");
    expect(eventsIn(effects).map((event) => event.type)).toEqual(["rejected", "standalone"]);
  });
});

describe("invariant 11: a wait ends when the connection is there", () => {
  const { reachable } = EVENTS;
  const failedBy = (failure: Failure) =>
    transition(connecting, { type: "register-failed", failure }, context()).state;

  it("within half a second, whatever is left of the backoff", () => {
    const outcome = transition(failedBy(unavailable("away")), reachable, context(NOW + 100, 0.4));
    expect(describeOutcome(outcome)).toBe("connecting wait>register | retry in 200");
  });

  it("but never later than it would have ended", () => {
    const waiting = failedBy(unavailable("away")); // for 1 s
    expect(transition(waiting, reachable, context(NOW + 850, 0.4)).effects).toEqual([]);
  });

  it("but not before the time that Pulse has asked for", () => {
    const waiting = failedBy(unavailable("busy", 5_000));
    expect(transition(waiting, reachable, context()).effects).toEqual([]);
  });

  it("once only: a connection that comes and goes does not end the next wait too", () => {
    const cut = transition(failedBy(unavailable("away")), reachable, context(NOW, 0.1)).state;
    expect(transition(cut, reachable, context(NOW, 0)).effects).toEqual([]);
  });

  it("and not after a refusal", () => {
    const refused: Failure = { kind: "refused", error: new Error("no"), reason: "no" };
    expect(transition(failedBy(refused), reachable, context()).effects).toEqual([]);
  });
});

describe("invariant 12: with several endpoints the next attempt is on another", () => {
  const next = (
    state: SessionState,
    event: SessionEvent,
    others: "none" | "tried" | "untried",
    random = 0.5,
  ) => transition(state, event, context(NOW, random, others));
  const draining: SessionEvent = { type: "draining", retryAfterMs: 3_000 };
  const stopping: Failure = { ...unavailable("stopping", 3_000), floorOf: "node" };
  const storeAway: SessionEvent = {
    type: "stream-ended",
    failure: unavailable("the database is away", 2_000),
  };

  /** Each event that means that the endpoint has failed, and what follows while another is untried. */
  const LOSSES: [string, SessionState, SessionEvent, string][] = [
    [
      "a Register that fails",
      connecting,
      EVENTS["register-failed"],
      "connecting wait>register | no register | cancel-register | retry in 250 | leave-endpoint | says attempt-failed | await-connection",
    ],
    [
      "a Register without an answer",
      connecting,
      EVENTS["register-overdue"],
      "connecting wait>register | no register | cancel-register | renew-connection | retry in 250 | leave-endpoint | says attempt-failed | await-connection",
    ],
    [
      "a stream that breaks",
      registered,
      EVENTS["stream-ended"],
      "reconnecting wait>greet | no ack | close-stream | retry in 250 | says disconnected | leave-endpoint | await-connection",
    ],
    [
      "a heartbeat without an answer",
      registered,
      EVENTS["ack-overdue"],
      "reconnecting wait>greet | no ack | close-stream | renew-connection | retry in 250 | says disconnected | leave-endpoint | await-connection",
    ],
    [
      "a node that is stopping",
      registered,
      draining,
      "reconnecting wait>greet | no ack | close-stream | retry in 250 | says disconnected | leave-endpoint",
    ],
    [
      "a node that is stopping as one comes",
      SAMPLES["reconnecting, greeting"],
      draining,
      "reconnecting wait>greet | no ack | close-stream | retry in 250 | leave-endpoint",
    ],
    [
      "a stream that breaks as it is opened",
      SAMPLES["reconnecting, greeting"],
      EVENTS["stream-ended"],
      "reconnecting wait>greet | no ack | close-stream | retry in 250 | leave-endpoint | says attempt-failed | await-connection",
    ],
  ];

  it.each(LOSSES)("soon, while one is untried, after %s", (_, state, event, expected) => {
    expect(describeOutcome(next(state, event, "untried"))).toBe(expected);
    for (const random of [0, 0.999])
      expect(retryOf(next(state, event, "untried", random))).toBeLessThan(500);
  });

  it.each(LOSSES)(
    "with the backoff of before, once all have failed, after %s",
    (_, state, event) => {
      const alone = next(state, event, "none");
      const all = next(state, event, "tried");
      expect(describeOutcome(all).replace(" | leave-endpoint", "")).toBe(describeOutcome(alone));
      expect(textOf(all.state)).toBe(textOf(alone.state)); // the pace, too
      expect(all.effects).toContainEqual({ type: "leave-endpoint" });
    },
  );

  it.each(LOSSES)("not at all, where there is one only, after %s", (_, state, event) => {
    expect(next(state, event, "none").effects).not.toContainEqual({ type: "leave-endpoint" });
  });

  it("and the backoff does not grow by that, but does with the next round", () => {
    const moved = next(connecting, EVENTS["register-failed"], "untried").state;
    if (moved.name !== "connecting") throw new Error(moved.name);
    expect(moved.pace.register.failures).toBe(0);
    expect(moved.attempt).toBe(2);
    const again = { ...moved, step: connecting.step };
    const round = next(again, EVENTS["register-failed"], "tried");
    expect(retryOf(round)).toBe(1_000);
    expect((round.state as typeof moved).pace.register.failures).toBe(1);
  });

  it("a stopping node speaks for itself alone, also in a status", () => {
    const event: SessionEvent = { type: "register-failed", failure: stopping };
    expect(retryOf(next(connecting, event, "untried"))).toBe(250);
    expect(retryOf(next(connecting, event, "tried"))).toBe(4_000);
    expect(retryOf(next(connecting, event, "none"))).toBe(4_000);
  });

  it("but a database that is away is everybody's: its floor holds, and another node may reach it", () => {
    const outcome = next(registered, storeAway, "untried");
    expect(retryOf(outcome)).toBe(2_250);
    expect(outcome.effects).toContainEqual({ type: "leave-endpoint" });
  });

  it("with the lease that it holds: it does not register anew", () => {
    const lost = next(registered, EVENTS["stream-ended"], "untried").state;
    const back = next(lost, EVENTS["retry-due"], "untried");
    expect(describeOutcome(back)).toBe(
      "reconnecting greet | no retry | open-stream | send-heartbeat lease-1#4 | ack in 7500",
    );
  });

  it("and not after a lease that is lost, nor after an update that fails beside a good stream", () => {
    const updating = SAMPLES["registered, updating"];
    for (const [state, event] of [
      [registered, EVENTS["lease-lost"]],
      [updating, EVENTS["register-failed"]],
      [updating, EVENTS["register-overdue"]],
    ] as const) {
      const { effects } = next(state, event, "untried");
      expect(effects).toEqual(next(state, event, "none").effects);
    }
  });

  it("a refusal is asked of another one, as slowly as ever: this one may be no Pulse at all", () => {
    const failure: Failure = { kind: "refused", error: new Error("no"), reason: "no" };
    const outcome = next(connecting, { type: "register-failed", failure }, "untried");
    expect(retryOf(outcome)).toBe(54_000);
    expect(outcome.effects).toContainEqual({ type: "leave-endpoint" });
  });

  it("a round ends with a whole TTL of answered heartbeats, and not with the first one", () => {
    const quiet = { ...registered, quietSince: NOW - 15_000 };
    const settle = { type: "settle" };
    expect(next(quiet, EVENTS.acknowledged, "tried").effects).toContainEqual(settle);
    expect(next(registered, EVENTS.acknowledged, "tried").effects).not.toContainEqual(settle);
    expect(next(quiet, EVENTS.acknowledged, "none").effects).not.toContainEqual(settle);
  });

  function textOf(state: SessionState): string {
    return JSON.stringify(state, (_, value) => (typeof value === "bigint" ? `${value}` : value));
  }

  function retryOf({ effects }: { readonly effects: readonly Effect[] }): number | undefined {
    return effects.flatMap((e) =>
      e.type === "set-timer" && e.timer === "retry" ? [e.delayMs] : [],
    )[0];
  }
});

describe("refusals", () => {
  it("are said once for each reason, and tried again after 50 s and up to 8 s of jitter", () => {
    const again = [EVENTS["retry-due"]] as [SessionEvent];
    const { effects } = run(
      connecting,
      [refused("bad token")],
      again,
      [refused("bad token")],
      again,
      [refused("identity pinned")],
    );
    expect(eventsIn(effects)).toMatchObject([
      { type: "rejected", error: { message: "bad token" }, retryInMs: 54_000 },
      { type: "rejected", error: { message: "identity pinned" } },
    ]);
    expect(effects.filter((e) => e.type === "set-timer" && e.delayMs === 54_000)).toHaveLength(3);
  });

  it("of an update leave the registration alone", () => {
    const { state, effects } = run(
      SAMPLES["registered, updating"],
      [refused("no")],
      [EVENTS["retry-due"]],
      [refused("no")],
    );
    expect(state.name).toBe("registered");
    expect(eventsIn(effects)).toMatchObject([{ type: "rejected" }]);
  });

  it("of the instance's own token lead to a Register at once, from wherever the stream was", () => {
    const left = transition(registered, disowned, context());
    expect(left.state).toMatchObject({ name: "reconnecting", step: { next: "register" } });
    expect(eventsIn(left.effects)).toMatchObject([{ type: "disconnected", retryInMs: 500 }]);
    const greeting = run(registered, [EVENTS["stream-ended"]], [EVENTS["retry-due"]]).state;
    const back = transition(greeting, disowned, context());
    expect(back.state).toMatchObject({
      name: "reconnecting",
      step: { do: "wait", next: "register", dueAt: NOW },
    });
  });

  it("of a stream are mended by an answered heartbeat", () => {
    const { state, effects } = run(
      registered,
      [
        {
          type: "stream-ended",
          failure: { kind: "refused", error: new Error("revoked"), reason: "revoked" },
        },
      ],
      [EVENTS["retry-due"]],
      [acknowledgedAs("lease-1", 4)],
    );
    expect(state.name).toBe("registered");
    expect(eventsIn(effects).map((event) => event.type)).toEqual(["rejected", "registered"]);
  });
});

it("an invalid first request fails at once, for good", () => {
  const { state, effects } = run(connecting, [invalid]);
  expect(state).toEqual({ name: "failed" });
  expect(eventsIn(effects)).toMatchObject([
    { type: "failed", error: { message: "service.name: is empty" } },
  ]);
});

it("waits at least as long as a draining Pulse says, with jitter on top, and says so once", () => {
  const draining: SessionEvent = { type: "draining", retryAfterMs: 3_000 };
  const { effects } = run(registered, [draining], [EVENTS["retry-due"]], [draining]);
  const waits = effects.flatMap((e) =>
    e.type === "set-timer" && e.timer === "retry" ? [e.delayMs] : [],
  );
  expect(waits).toEqual([3_250, 3_500]);
  expect(eventsIn(effects).map((event) => event.type)).toEqual(["disconnected"]);
});

it("takes RetryInfo as a floor under the backoff", () => {
  const event: SessionEvent = { type: "register-failed", failure: unavailable("full", 20_000) };
  expect(run(connecting, [event]).effects).toContainEqual({
    type: "set-timer",
    timer: "retry",
    delayMs: 21_000,
  });
});

it("a stall shorter than the TTL changes nothing for a registration that holds", () => {
  const event: SessionEvent = { type: "woke", stalledMs: 14_999 };
  expect(transition(registered, event, context()).state).toBe(registered);
});

it("close says goodbye, then deregisters if asked to", () => {
  const { state, effects } = run(
    registered,
    [{ type: "close", deregister: true }],
    [acknowledgedAs("lease-1", 3)],
    [acknowledgedAs("lease-1", 4)],
    [EVENTS.deregistered],
  );
  expect(state).toEqual({ name: "closed" });
  const done = effects.map((effect) => effect.type).filter((type) => !type.endsWith("timer"));
  expect(done).toEqual(["send-goodbye", "close-stream", "deregister", "emit"]);
});

it("a superseded session deregisters nothing: the registration is another's now", () => {
  const { effects } = run({ name: "superseded" }, [{ type: "close", deregister: true }]);
  expect(effects.map((effect) => effect.type)).toEqual(["emit"]);
});

describe("any sequence of events", () => {
  const FINAL: readonly StateName[] = ["superseded", "failed", "closed"];

  /** Events that fit the state more often than chance would have it. */
  function eventFor(state: SessionState, pick: number): SessionEvent {
    const all: SessionEvent[] = [
      ...Object.values(EVENTS),
      refused("a"),
      refused("b"),
      invalid,
      { type: "close", deregister: true },
      { type: "stream-ended", failure: { kind: "refused", error: new Error("x"), reason: "x" } },
      disowned,
    ];
    if ("lease" in state && state.lease) {
      const { leaseId } = state.lease.grant;
      const { sequence } = state.lease;
      all.push(acknowledgedAs(leaseId, sequence), acknowledgedAs(leaseId, sequence));
      for (const reason of ["unknown", "superseded"] as const)
        all.push({ type: "lease-lost", leaseId, reason });
    }
    const event = all[pick % all.length] ?? EVENTS.update;
    return event.type === "register-succeeded"
      ? { ...event, grant: { ...grant, leaseId: `lease-${pick}` } }
      : event;
  }

  it("keeps invariants 1, 2, 3, 4, 5 and 10", () => {
    const step = fc.record({
      pick: fc.nat(100_000),
      random: fc.double({ min: 0, max: 0.999, noNaN: true }),
      others: fc.constantFrom("none" as const, "tried" as const, "untried" as const),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const world = new World();
        let now = NOW;
        const first = begin(context(now));
        let state = first.state;
        world.apply(first.effects, state);
        for (const { pick, random, others } of steps) {
          now += pick % 7_000;
          const event = eventFor(state, pick);
          if (!world.canHappen(event)) continue;
          const before = state;
          world.happens(event);
          const outcome = transition(state, event, context(now, random, others));
          state = outcome.state;
          world.apply(outcome.effects, state);
          if (before.name === "closed") expect(outcome).toEqual({ state: before, effects: [] });
          if (FINAL.includes(before.name)) expect(["closed", before.name]).toContain(state.name);
        }
      }),
      { numRuns: 2_000, seed: 1 },
    );
  });

  /** What a driver would hold after the effects: fails when they contradict the invariants. */
  class World {
    stream = false;
    register = false;
    standalone = 0;
    readonly timers = new Set<string>();
    readonly inFlight = new Set<string>();

    /** Timers fire only when set, calls answer only when made. */
    canHappen(event: SessionEvent): boolean {
      switch (event.type) {
        case "register-succeeded":
        case "register-failed":
          return this.register;
        case "acknowledged":
        case "lease-lost":
        case "draining":
        case "stream-ended":
          return this.stream;
        default: {
          const timer = Object.entries(TIMER_EVENTS).find(([, fired]) => fired === event.type)?.[0];
          return timer === undefined || this.timers.has(timer);
        }
      }
    }

    happens(event: SessionEvent): void {
      if (event.type.startsWith("register-") && event.type !== "register-overdue")
        this.register = false;
      if (event.type === "stream-ended") this.stream = false;
      if (event.type === "acknowledged" || event.type === "lease-lost")
        this.inFlight.delete(event.leaseId);
      for (const [timer, fired] of Object.entries(TIMER_EVENTS))
        if (event.type === fired) this.timers.delete(timer);
    }

    apply(effects: readonly Effect[], state: SessionState): void {
      for (const effect of effects) {
        switch (effect.type) {
          case "register":
            expect(this.register, "two Registers in flight").toBe(false);
            this.register = true;
            break;
          case "cancel-register":
            this.register = false;
            break;
          case "open-stream":
            expect(this.stream, "two streams").toBe(false);
            this.stream = true;
            this.inFlight.clear();
            break;
          case "close-stream":
            this.stream = false;
            break;
          case "send-heartbeat":
            expect(this.stream, "a heartbeat without a stream").toBe(true);
            expect(this.inFlight.has(effect.leaseId), "two heartbeats in flight").toBe(false);
            this.inFlight.add(effect.leaseId);
            break;
          case "send-goodbye":
            expect(this.stream, "a goodbye without a stream").toBe(true);
            break;
          case "set-timer":
            expect(effect.delayMs).toBeGreaterThanOrEqual(0);
            this.timers.add(effect.timer);
            break;
          case "cancel-timer":
            this.timers.delete(effect.timer);
            break;
          case "emit":
            if (effect.event.type === "standalone") this.standalone++;
            break;
        }
      }
      const own = owned(state);
      expect(this.stream, "the stream is owned").toBe(own.stream);
      expect(this.register, "the Register is owned").toBe(own.register);
      for (const timer of this.timers) expect(own.timers, "the timer is owned").toContain(timer);
      const needed = own.timers.filter((timer) => timer !== "budget");
      expect([...this.timers], "the state leads on").toEqual(expect.arrayContaining(needed));
      expect(needed.length > 0).toBe(!FINAL.includes(state.name));
      expect(this.standalone).toBeLessThanOrEqual(1);
    }
  }
});
