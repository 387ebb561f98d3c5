import { type Backoff, type BackoffPolicy, createBackoff } from "../lib/backoff.js";
import type { OtherEndpoints } from "../wire/endpoints.js";
import type { TransientFailure } from "./failure.js";

/** How long the first registration is tried before the program goes on alone. */
export const DEFAULT_STANDALONE_AFTER_MS = 120_000;
/** Deadline of one Register: a server that accepts and stays silent is abandoned. */
export const ATTEMPT_TIMEOUT_MS = 10_000;
/**
 * How often Pulse is asked again after it refused this caller, and the jitter on top.
 * Together, and with the call itself, it is less than a minute: so long it takes at
 * most until a token that is mended counts.
 */
export const REJECTED_RETRY_MS = 50_000;
export const REJECTED_JITTER_MS = 8_000;
/** Bound of the goodbye and the Deregister at the end, together. */
export const LEAVE_TIMEOUT_MS = 2_000;
/** Jitter before the first attempt after the process stood still. */
export const WAKE_JITTER_MS = 500;

/**
 * Jitter before a service's next attempt once the connection is there again. What it
 * leaves of a second is for the calls: within that second it has registered anew, if it
 * has to.
 */
export const RETURN_JITTER_MS = 500;

/** Jitter before a watch's next attempt once the connection is there again. */
export const REACHABLE_JITTER_MS = 1_000;

/** Jitter before the first attempt on another endpoint, so that not all who lost one come at once. */
export const MOVE_JITTER_MS = 500;

/** How long a watch's stream must have been well for its backoff to be fresh again. */
export const WATCH_WELL_MS = 15_000;

/**
 * How long a watch keeps what a Pulse that has lost its history does not know: its
 * services register anew within a second of their reconnect, and reconnect within 30 s
 * of its return.
 */
export const CONFIRM_MS = 30_000;

const REGISTER: BackoffPolicy = { baseMs: 2_000, factor: 2, capMs: 32_000 };
const STREAM: BackoffPolicy = { baseMs: 500, factor: 2, capMs: 15_000 };
const ANEW: BackoffPolicy = { baseMs: 1_000, factor: 2, capMs: 15_000 };

/** The backoff of each thing that is tried again. Only a quiet TTL makes it fresh (invariant 6). */
export interface Pace {
  /** After a Register that failed, of a service that was never registered. */
  readonly register: Backoff;
  /** After a stream that broke. */
  readonly stream: Backoff;
  /** Before registering anew because the lease was lost, and after that failed. */
  readonly anew: Backoff;
}

export const FRESH_PACE: Pace = {
  register: createBackoff(REGISTER),
  stream: createBackoff(STREAM),
  anew: createBackoff(ANEW),
};

/** The wait after one more failure, and the pace from then on. The jitter goes on top of the server's floor. */
export function slower(
  pace: Pace,
  which: keyof Pace,
  random: number,
  floorMs = 0,
): { readonly delayMs: number; readonly pace: Pace } {
  return {
    delayMs: floorMs + pace[which].delayMs(random),
    pace: { ...pace, [which]: pace[which].next() },
  };
}

/**
 * The wait after an attempt that failed, and the pace from then on. While another
 * endpoint is untried, the next attempt is soon, and the backoff does not grow: it is
 * a new attempt there, not one more here. A node that is stopping asks to be left
 * alone; that says nothing about the others.
 */
export function afterFailure(
  pace: Pace,
  which: keyof Pace,
  { floorMs, floorOf }: Pick<TransientFailure, "floorMs" | "floorOf">,
  { random, others }: { random(): number; readonly others: OtherEndpoints },
): { readonly delayMs: number; readonly pace: Pace } {
  if (others !== "untried") return slower(pace, which, random(), floorMs);
  return { delayMs: (floorOf === "node" ? 0 : floorMs) + random() * MOVE_JITTER_MS, pace };
}

/**
 * How long a heartbeat may go unanswered: one interval and a timeout. With the interval
 * since the answer before, that is so much less than the lease's three intervals that
 * the way back fits in: a connection that falls silent costs nobody the lease.
 */
export function ackTimeoutMs(intervalMs: number): number {
  return intervalMs + Math.min(intervalMs / 2, 5_000);
}
