import { type Clock, sleep } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import { NODE_TTL_MS } from "../store/node-queries.js";
import {
  type Allowance,
  type NodeInfo,
  type Renewal,
  type SharedStore,
  StoreUnavailableError,
} from "../store/store.js";
import { shareRuns } from "./shared-run.js";

const RENEW_INTERVAL_MS = 1_000;
/** Reports cost more than the row: they are written so much more seldom, and the larger they are. */
const RENEWALS_PER_REPORT = 2;
const REPORT_SIZE_PER_RENEWAL = 100_000;

export interface MembershipOptions {
  readonly shared: SharedStore;
  /** For people: where this node listens. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What instances get whose node is gone. */
  readonly allowance: () => Allowance;
  /** Told what registry time is. */
  readonly hearTime: (ms: number) => void;
  /** Called when the others had taken this node for dead: all that it has is free. */
  readonly onRejoin: () => void;
  /** What this node knows of its instances that is no change. */
  readonly report: () => string;
  /** Told what the other nodes know. */
  readonly hearReports: (reports: readonly string[]) => void;
}

/** This node's place among those that share a store: a lease of its own, which it renews for as long as it lives. */
export interface Membership {
  /** A new one whenever it joins anew. */
  readonly nodeId: string;
  /** How long ago it last asked, in ms, when it was told that it is one of them. */
  readonly sinceRenewalMs: number;
  /** Renews its row before its time, to be told what registry time is. @throws StoreUnavailableError */
  renew(): Promise<void>;
  /** Gives all its instances free and joins anew, since nobody knows any more which they are. */
  startAnew(): void;
  /** Gives all its instances free, with time to find another node. Resolves when that is done, or cannot be. */
  leave(): Promise<void>;
}

/** @throws StoreUnavailableError if the store cannot be used. */
export async function joinNodes(options: MembershipOptions): Promise<Membership> {
  const { shared, name, clock, random, log, allowance } = options;
  const stopping = new AbortController();
  let nodeId = random.uuid();
  let renewedAt = clock.now();
  let mustStartAnew = false;
  /** Renewals so far, and at which of them it tells what it knows. */
  let count = 0;
  let nextReport = RENEWALS_PER_REPORT;
  /** Nodes that renew their rows no more. */
  let dead: readonly NodeInfo[] = [];
  /** What concerns the others, and may take long: the next renewal does not wait for it. */
  let beside: Promise<void> | undefined;

  /** In turn, so that it joins anew only once. */
  const renew = shareRuns(async () => {
    const askedAt = clock.now();
    const renewal = await shared.renew(nodeId);
    if (renewal.isMember) hear(renewal, askedAt);
    else await rejoin();
    dead = renewal.dead;
  });

  const spared = await shared.spare(allowance());
  if (spared > 0) log.info({ instances: spared }, "node.spared");
  hear(await shared.join({ id: nodeId, name }), renewedAt);
  const running = run();

  async function run(): Promise<void> {
    for (count = 1; ; count++) {
      await sleep(clock, RENEW_INTERVAL_MS, stopping.signal).catch(() => {});
      if (stopping.signal.aborted) return;
      await attempt(async () => {
        if (mustStartAnew) await giveUp();
        await renew();
        beside ??= attempt(() => lookAfterOthers(count >= nextReport)).then(() => {
          beside = undefined;
        });
      });
    }
  }

  async function attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      // Whoever watches the store says that it is away.
      if (!(error instanceof StoreUnavailableError))
        log.error({ err: error }, "node.renewal_failed");
    }
  }

  async function lookAfterOthers(mayReport: boolean): Promise<void> {
    for (const { id, name } of dead) await bury(id, name);
    if (!mayReport) return;
    const report = options.report();
    nextReport = count + Math.max(RENEWALS_PER_REPORT, report.length / REPORT_SIZE_PER_RENEWAL);
    options.hearReports(await shared.exchangeReports(nodeId, report));
  }

  async function giveUp(): Promise<void> {
    await shared.bury(nodeId, allowance(), false);
    mustStartAnew = false;
  }

  async function rejoin(): Promise<void> {
    const askedAt = clock.now();
    const id = random.uuid(); // what was written for the old one stays without effect
    const renewal = await shared.join({ id, name });
    nodeId = id;
    hear(renewal, askedAt);
    log.warn({ nodeId }, "node.rejoined");
    options.onRejoin();
  }

  async function bury(id: string, deadName: string): Promise<void> {
    const instances = await shared.bury(id, allowance(), true);
    if (instances !== undefined) log.warn({ node: deadName, instances }, "node.dead");
  }

  function hear({ registryTimeMs }: Renewal, askedAt: number): void {
    renewedAt = askedAt;
    options.hearTime(registryTimeMs);
  }

  return {
    get nodeId() {
      return nodeId;
    },
    get sinceRenewalMs() {
      return clock.now() - renewedAt;
    },
    renew,
    startAnew() {
      mustStartAnew = true;
    },
    async leave() {
      stopping.abort();
      await running;
      await beside;
      try {
        await giveUp();
      } catch (error) {
        // The others find out by themselves.
        log.warn({ err: error }, "node.left_without_word");
      }
    },
  };
}

/**
 * Whether a node that last renewed its row so long ago may acknowledge a lease. After
 * NODE_TTL_MS the others set its instances free, each with its TTL: of that it may take
 * half, and leaves the instance the other half to find another node.
 */
export function mayPromise(sinceRenewalMs: number, ttlMs: number): boolean {
  return sinceRenewalMs <= NODE_TTL_MS + ttlMs / 2;
}
