import { Code, ConnectError } from "@connectrpc/connect";
import type { AuditEntry, ListAuditEntriesResponse } from "../../gen/pulse/v1/audit_service_pb.js";
import { type Clock, holdProcess, sleep } from "../lib/clock.js";
import type { WatchTarget } from "./pulse-watch.js";

const POLL_INTERVAL_MS = 1_000;

export interface AuditFollowing {
  /** The newest entries. */
  readonly first: () => Promise<ListAuditEntriesResponse>;
  /** Those after one. */
  readonly next: (afterId: bigint) => Promise<ListAuditEntriesResponse>;
  readonly print: (entries: readonly AuditEntry[], isFirst: boolean) => void;
  readonly clock: Clock;
}

/**
 * Prints the newest entries, and those that come until the target's signal aborts. A
 * Pulse that is away is waited for.
 * @throws Error if Pulse refuses the request or the token
 */
export async function followAudit(
  { first, next, print, clock }: AuditFollowing,
  { notes, refusal, options }: WatchTarget,
): Promise<void> {
  const { signal } = options;
  const held = holdProcess(clock);
  let lastId: bigint | undefined;
  try {
    while (!signal?.aborted) {
      const isMore = await ask();
      if (!isMore) await sleep(clock, POLL_INTERVAL_MS, signal).catch(() => {});
    }
  } finally {
    held.release();
  }

  /** @returns whether there may be more at once */
  async function ask(): Promise<boolean> {
    const isFirst = lastId === undefined;
    try {
      const { entries, lastId: newest } = await (lastId === undefined ? first() : next(lastId));
      notes.found();
      if (isFirst || entries.length > 0) print(entries, isFirst);
      // After a restored backup the log may be shorter than it was.
      lastId = newest;
      return !isFirst && entries.length > 0;
    } catch (error) {
      if (signal?.aborted) return false;
      if (!isPassing(error)) throw refusal(ConnectError.from(error));
      notes.lost(ConnectError.from(error));
      return false;
    }
  }
}

/** Whether waiting may mend it. */
function isPassing(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return ![
    Code.Unauthenticated,
    Code.PermissionDenied,
    Code.InvalidArgument,
    Code.Unimplemented,
  ].includes(code);
}
