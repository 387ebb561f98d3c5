import { hostname } from "node:os";
import type { LeasePolicy } from "../core/lease.js";
import { SharedRegistryTime } from "../core/registry-time.js";
import { type Clock, repeat } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { type DueLease, type SharedStore, StoreUnavailableError } from "../store/store.js";
import { startFollowing } from "./following.js";
import { createHoldings } from "./holdings.js";
import { readLeaseReport, writeLeaseReport } from "./lease-report.js";
import type { Leases, Node } from "./leases.js";
import { joinNodes, mayPromise } from "./membership.js";
import type { Registry, SharedTime } from "./registry.js";

/** How far a node takes registry time on by itself, in ms. */
const MAX_AHEAD_MS = 2_000;
/** How often a node looks for instances that nobody holds and that are due, in ms. */
const DUE_INTERVAL_MS = 500;
/** A node that has not renewed its row for so long has trouble with its database, in ms. */
const TROUBLE_AFTER_MS = 3_000;

export interface SharedNodeOptions {
  readonly shared: SharedStore;
  readonly registryTimeMs: number;
  readonly port: number;
  readonly policy: LeasePolicy;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** All that a Pulse does to be one of several on a store. */
export interface SharedNode {
  readonly registryNow: () => number;
  /** For the registry. */
  readonly time: SharedTime;
  /** For the leases. */
  readonly node: Node;
  readonly dueElsewhere: () => readonly DueLease[];
  /** To be called once they are made. */
  start(registry: Registry, leases: Leases): void;
  /** To be called before streams are ended: it is not for their instances' sake. */
  leaveInstances(): Promise<void>;
  /** Gives the instances free, and the place among the nodes. */
  leave(): Promise<void>;
}

/** @throws StoreUnavailableError if the store cannot be used. */
export async function joinAsNode(options: SharedNodeOptions): Promise<SharedNode> {
  const { shared, policy, clock, random, log } = options;
  const time = new SharedRegistryTime(options.registryTimeMs, () => clock.now(), MAX_AHEAD_MS);
  let leases: Leases | undefined;
  let due: readonly DueLease[] = [];
  let isLooking = false;
  let isLeaving = false;
  const stops: (() => Promise<void> | void)[] = [];

  const membership = await joinNodes({
    shared,
    name: `${hostname()}:${options.port}`,
    clock,
    random,
    log,
    allowance: () => ({ minTtlMs: leases?.fleetTtlMs ?? 0, graceMs: policy.reconnectGraceMs }),
    hearTime: (ms) => time.hear(ms),
    onRejoin: () => leases?.holdNothing(),
    report: () => writeLeaseReport(leases?.all() ?? []),
    hearReports(reports) {
      for (const report of reports) readLeaseReport(report, (leaseId) => leases?.byId(leaseId));
    },
  });

  const holdings = createHoldings({
    shared,
    nodeId: () => membership.nodeId,
    registryNow: () => time.now(),
    graceMs: policy.reconnectGraceMs,
    isOurFault: () => isLeaving || membership.sinceRenewalMs > TROUBLE_AFTER_MS,
    onClaimed: (leaseId) => leases?.claimed(leaseId),
    clock,
    log,
  });

  async function lookForDue(): Promise<void> {
    if (isLooking) return; // a slow database is not asked the same twice
    isLooking = true;
    try {
      due = await shared.due();
    } catch (error) {
      due = [];
      if (!(error instanceof StoreUnavailableError)) log.error({ err: error }, "expiry.not_asked");
    } finally {
      isLooking = false;
    }
  }

  return {
    registryNow: () => time.now(),
    time: {
      get isFresh() {
        return membership.sinceRenewalMs <= MAX_AHEAD_MS;
      },
      hear: membership.renew,
    },
    node: {
      get id() {
        return membership.nodeId;
      },
      mayPromise: (ttlMs) => mayPromise(membership.sinceRenewalMs, ttlMs),
      get mayTake() {
        return membership.sinceRenewalMs <= TROUBLE_AFTER_MS;
      },
      claim: holdings.claim,
      release: holdings.release,
    },
    dueElsewhere() {
      const taken = due;
      due = []; // until asked again: whoever is still due then is there again
      return taken;
    },
    start(registry, made) {
      leases = made;
      registry.onReload(() => membership.startAnew());
      const following = startFollowing({ registry, shared, clock, log });
      const looking = repeat(clock, DUE_INTERVAL_MS, () => void lookForDue());
      stops.push(
        () => looking.cancel(),
        () => following.stop(),
      );
    },
    async leaveInstances() {
      isLeaving = true;
      await holdings.stop();
    },
    async leave() {
      for (const stop of stops) await stop();
      await membership.leave();
    },
  };
}
