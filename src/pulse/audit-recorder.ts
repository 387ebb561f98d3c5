import type { Actor, AuditAction, AuditEntry, AuditSubject } from "../core/audit.js";
import type { Clock, Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type Store, StoreUnavailableError } from "../store/store.js";

/** What equal calls are gathered for, and how often they are written, in ms. */
const FLUSH_INTERVAL_MS = 1_000;
/** Entries that wait to be written, also while the store is down. */
const MAX_WAITING = 10_000;
/** Entries of one transaction. */
const MAX_BATCH = 500;
/** Refused calls of one interval that have entries of their own: anybody can make them, from many addresses. */
const MAX_REFUSED = 20;
/** Names that an entry's detail has. */
const MAX_NAMES = 20;

/** What is equal is one entry. */
export interface AuditEvent {
  readonly actor: Actor;
  readonly action: AuditAction;
  readonly subject: AuditSubject;
  /** Empty: several, or none. */
  readonly subjectId?: string;
  readonly subjectName?: string;
  /** That of the first of equal events counts. */
  readonly detail?: string;
}

/**
 * Writes down what changes nothing in the registry: nobody waits for it. It is in the
 * store within a second or so, or as soon as the store can be written again.
 */
export interface AuditRecorder {
  record(event: AuditEvent): void;
  /** Credentials of these entries, at least one, were sent. */
  recordRead(actor: Actor, names: readonly string[], subjectId?: string): void;
  /** Writes what waits. Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** An entry that more may still be counted into. */
interface Gathering {
  readonly entry: AuditEntry;
  count: number;
  /** Of what was read: how many entries in all, and which, unless these are many. */
  reads: number;
  names: Set<string> | undefined;
}

export interface AuditRecorderOptions {
  readonly store: Pick<Store, "appendAudit">;
  readonly clock: Clock;
  readonly log: Log;
}

export function createAuditRecorder({ store, clock, log }: AuditRecorderOptions): AuditRecorder {
  /** Of this interval, by what is equal. */
  let gathering = new Map<string, Gathering>();
  let refused = 0;
  /** Of earlier intervals, and not written yet. */
  const waiting: AuditEntry[] = [];
  /** Calls that could not be kept since the last entry was written. */
  let dropped = 0;
  let timer: Timer | undefined;
  let isStopped = false;
  let flushing: Promise<void> | undefined;

  function gather({ actor, action, subject, ...about }: AuditEvent): Gathering | undefined {
    const { subjectId = "", subjectName = "", detail = "" } = about;
    const key = [actor.tokenId, action, actor.address, subject, subjectId].join(" ");
    const known = gathering.get(key);
    if (known) {
      known.count++;
      return known;
    }
    if (action === "refused" && ++refused > MAX_REFUSED) return gatherOtherRefused();
    if (gathering.size + waiting.length >= MAX_WAITING) {
      drop(1);
      return undefined;
    }
    const done = { ...actor, at: clock.wallNow(), action, subject, subjectId, subjectName };
    return add(key, { ...done, detail, count: 1 });
  }

  /** All the others in one entry. */
  function gatherOtherRefused(): Gathering {
    const known = gathering.get(OTHER_REFUSED);
    if (known) {
      known.count++;
      return known;
    }
    const from = { tokenId: "", tokenName: "", address: "", subject: "" as const };
    const about = { subjectId: "", subjectName: "", detail: "more calls, of others" };
    const at = clock.wallNow();
    return add(OTHER_REFUSED, { ...from, ...about, at, action: "refused", count: 1 });
  }

  function add(key: string, entry: AuditEntry): Gathering {
    const gathered = { entry, count: 1, reads: 0, names: new Set<string>() };
    gathering.set(key, gathered);
    if (!isStopped) timer ??= clock.setTimer(FLUSH_INTERVAL_MS, () => void flush());
    return gathered;
  }

  function drop(count: number): void {
    if (dropped === 0) log.error({}, "audit.entries_dropped: too many wait for the database");
    dropped += count;
  }

  /** One at a time; never rejects. */
  function flush(): Promise<void> {
    timer?.cancel();
    timer = undefined;
    waiting.push(...[...gathering.values()].map(finished));
    gathering = new Map();
    refused = 0;
    flushing ??= write().finally(() => {
      flushing = undefined;
      if (waiting.length > 0 && !isStopped)
        timer ??= clock.setTimer(FLUSH_INTERVAL_MS, () => void flush());
    });
    return flushing;
  }

  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, MAX_BATCH);
      const missing = dropped;
      try {
        await store.appendAudit(withMissing(batch, missing));
        dropped -= missing;
        if (missing > 0) log.error({ calls: missing }, "audit.entries_lost");
      } catch (error) {
        if (error instanceof StoreUnavailableError) return; // it says so itself, and the next flush tries again
        log.error({ err: error, entries: batch.length }, "audit.not_written");
        drop(batch.reduce((sum, { count }) => sum + count, 0));
      }
      waiting.splice(0, batch.length);
    }
  }

  return {
    record: (event) => void gather(event),
    recordRead(actor, names, subjectId = "") {
      const subject = "download-client";
      const [subjectName = ""] = subjectId === "" ? [] : names;
      const event = { actor, action: "credentials read", subject, subjectId, subjectName } as const;
      const gathered = gather(event);
      if (!gathered) return;
      gathered.reads += names.length;
      for (const name of names) {
        if (!gathered.names) return;
        gathered.names.add(name);
        if (gathered.names.size > MAX_NAMES) gathered.names = undefined;
      }
    },
    async stop() {
      isStopped = true;
      await flush();
      await flush(); // what came while the first one wrote
      if (waiting.length + dropped > 0)
        log.error({ entries: waiting.length, calls: dropped }, "audit.entries_lost");
    },
  };
}

const OTHER_REFUSED = "others refused";

function finished({ entry, count, reads, names }: Gathering): AuditEntry {
  if (reads === 0) return { ...entry, count };
  const which = names ? `: ${[...names].map((name) => JSON.stringify(name)).join(", ")}` : "";
  return { ...entry, count, detail: `${reads} ${reads === 1 ? "entry" : "entries"}${which}` };
}

/** The newest of them says that more should follow it. */
function withMissing(batch: readonly AuditEntry[], missing: number): readonly AuditEntry[] {
  const last = batch.at(-1);
  if (missing === 0 || !last) return batch;
  const note = `${missing} more calls could not be written down here`;
  const detail = last.detail === "" ? note : `${last.detail}; ${note}`;
  return [...batch.slice(0, -1), { ...last, detail }];
}
