import type { Clock, Timer } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { type HoldingChanges, type SharedStore, StoreUnavailableError } from "../store/store.js";
import type { LiveLease } from "./live-lease.js";

/** What comes within this time goes into one transaction, in ms. An instance waits for none of it. */
const GATHER_MS = 5;
const RETRY_MS = 500;
/** Changes of one transaction. It bounds how long others wait for it. */
const MAX_BATCH = 1_024;
/**
 * The longest that a client may be away, in ms: whoever lost its stream through our fault
 * gets so long to return. It waits for up to 15 s (`docs/protocol.md`) after the 2 s that
 * a refusal asks for, and then has to connect.
 */
const RETURN_MS = 20_000;

export interface HoldingsOptions {
  readonly shared: SharedStore;
  readonly nodeId: () => string;
  readonly registryNow: () => number;
  /** How long after its stream broke an instance is OFFLINE. */
  readonly graceMs: number;
  /** Whether streams break through our fault just now. */
  readonly isOurFault: () => boolean;
  /** Called once it is written that this node has the lease. */
  readonly onClaimed: (leaseId: string) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Tells the other nodes which instances this one has: as soon as it can be written, and only the last word. */
export interface Holdings {
  claim(lease: LiveLease): void;
  release(lease: LiveLease): void;
  /** Forgets what is not written, and writes nothing more. Resolves when nothing is under way. */
  stop(): Promise<void>;
}

type Word = { readonly nodeId: string } & (
  | { readonly kind: "claim"; readonly claim: HoldingChanges["claims"][number] }
  | { readonly kind: "release"; readonly release: HoldingChanges["releases"][number] }
);

export function createHoldings(options: HoldingsOptions): Holdings {
  const { shared, nodeId, registryNow, graceMs, isOurFault, onClaimed, clock, log } = options;
  /** By service. */
  let words = new Map<string, Word>();
  let timer: Timer | undefined;
  let writing: Promise<void> | undefined;
  let isStopped = false;

  function say(serviceId: string, word: Word): void {
    words.set(serviceId, word);
    schedule(GATHER_MS);
  }

  function schedule(delayMs: number): void {
    if (isStopped || timer || writing) return;
    timer = clock.setTimer(delayMs, () => {
      timer = undefined;
      writing = write().then((delay) => {
        writing = undefined;
        if (words.size > 0) schedule(delay);
      });
    });
  }

  /** Resolves to when to go on. */
  async function write(): Promise<number> {
    const batch = [...words].slice(0, MAX_BATCH);
    for (const [serviceId] of batch) words.delete(serviceId);
    const holder = nodeId();
    // What a node said that was taken for dead since does not hold: others may have its instances.
    const said = batch.flatMap(([, word]) => (word.nodeId === holder ? word : []));
    const claims = said.flatMap((word) => (word.kind === "claim" ? word.claim : []));
    const releases = said.flatMap((word) => (word.kind === "release" ? word.release : []));
    try {
      if (said.length > 0) await shared.hold(holder, { claims, releases });
      for (const { leaseId } of claims) onClaimed(leaseId);
      return GATHER_MS;
    } catch (error) {
      words = new Map([...batch, ...words]); // the newer word counts
      if (!(error instanceof StoreUnavailableError)) log.error({ err: error }, "holdings.failed");
      return RETRY_MS;
    }
  }

  return {
    claim({ record: { id: serviceId, leaseId } }) {
      say(serviceId, { kind: "claim", nodeId: nodeId(), claim: { serviceId, leaseId } });
    },
    release({ record: { id: serviceId, leaseId, ttlMs, status }, expiresAt, lastSeenAt }) {
      const now = registryNow();
      const leaseExpiresAt = isOurFault() ? now + Math.max(ttlMs, RETURN_MS) + graceMs : expiresAt;
      // That a stream broke is no news of one that is OFFLINE anyway.
      const hasGrace = !isOurFault() && status !== "offline";
      const lapsesAt = hasGrace ? Math.min(now + graceMs, expiresAt) : leaseExpiresAt;
      say(serviceId, {
        kind: "release",
        nodeId: nodeId(),
        release: { serviceId, leaseId, lapsesAt, leaseExpiresAt, lastSeenAt },
      });
    },
    async stop() {
      isStopped = true;
      timer?.cancel();
      await writing;
    },
  };
}
