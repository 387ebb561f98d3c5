import {
  afterGoodbye,
  closeAway,
  closeRegistered,
  deregistered,
  finish,
  goodbyeAnswered,
  goodbyeNeedless,
} from "./session-leaving.js";
import { stay } from "./session-moves.js";
import {
  budgetOver,
  reachableAway,
  registerDue,
  registerFailed,
  registerOverdue,
  registerSucceeded,
  returnDue,
  updateAway,
  wokeAway,
} from "./session-register.js";
import type { EventName, StateName, Transition } from "./session-state.js";
import {
  acknowledgedAway,
  acknowledgedRegistered,
  ackOverdueAway,
  ackOverdueRegistered,
  drainingAway,
  drainingRegistered,
  heartbeatDue,
  leaseLostAway,
  leaseLostRegistered,
  statusChanged,
  streamEndedAway,
  streamEndedRegistered,
  wokeRegistered,
} from "./session-stream.js";
import {
  updateFailed,
  updateOverdue,
  updateRegistered,
  updateRetryDue,
  updateSucceeded,
} from "./session-update.js";

/** Trying to register for the first time; there is no stream yet. */
const unattached = {
  "register-succeeded": registerSucceeded,
  "register-failed": registerFailed,
  acknowledged: stay,
  "lease-lost": stay,
  draining: stay,
  "stream-ended": stay,
  "retry-due": registerDue,
  "heartbeat-due": stay,
  "register-overdue": registerOverdue,
  "ack-overdue": stay,
  "leave-overdue": stay,
  reachable: reachableAway,
  woke: wokeAway,
  update: updateAway,
  "status-changed": stay,
  close: closeAway,
  deregistered: stay,
};

/** Trying to come back, with a lease or anew. */
const returning = {
  ...unattached,
  "retry-due": returnDue,
  acknowledged: acknowledgedAway,
  "lease-lost": leaseLostAway,
  draining: drainingAway,
  "stream-ended": streamEndedAway,
  "ack-overdue": ackOverdueAway,
};

/** Nothing is under way, and nothing will be. */
const stopped = {
  "register-succeeded": stay,
  "register-failed": stay,
  acknowledged: stay,
  "lease-lost": stay,
  draining: stay,
  "stream-ended": stay,
  "retry-due": stay,
  "heartbeat-due": stay,
  "register-overdue": stay,
  "ack-overdue": stay,
  "budget-over": stay,
  "leave-overdue": stay,
  reachable: stay,
  woke: stay,
  update: stay,
  "status-changed": stay,
  close: finish,
  deregistered: stay,
};

/** Every state and every event; a missing cell does not compile. */
export const TABLE = {
  connecting: { ...unattached, "budget-over": budgetOver },
  standalone: { ...unattached, "budget-over": stay },
  reconnecting: { ...returning, "budget-over": stay },
  rejected: { ...returning, "budget-over": budgetOver },
  registered: {
    "register-succeeded": updateSucceeded,
    "register-failed": updateFailed,
    acknowledged: acknowledgedRegistered,
    "lease-lost": leaseLostRegistered,
    draining: drainingRegistered,
    "stream-ended": streamEndedRegistered,
    "retry-due": updateRetryDue,
    "heartbeat-due": heartbeatDue,
    "register-overdue": updateOverdue,
    "ack-overdue": ackOverdueRegistered,
    "budget-over": stay,
    "leave-overdue": stay,
    reachable: stay,
    woke: wokeRegistered,
    update: updateRegistered,
    "status-changed": statusChanged,
    close: closeRegistered,
    deregistered: stay,
  },
  superseded: stopped,
  failed: stopped,
  closing: {
    ...stopped,
    acknowledged: goodbyeAnswered,
    "lease-lost": goodbyeNeedless,
    "stream-ended": afterGoodbye,
    "leave-overdue": finish,
    close: stay,
    deregistered,
  },
  closed: { ...stopped, close: stay },
} satisfies { [S in StateName]: { [E in EventName]: Transition<S, E> } };
