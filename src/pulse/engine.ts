import type { LeasePolicy } from "../core/lease.js";
import { RegistryTime } from "../core/registry-time.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import type { Random } from "../lib/random.js";
import type { Store } from "../store/store.js";
import { startCompaction } from "./compaction.js";
import { createEntrySigns, type EntrySigns } from "./entry-signs.js";
import { SWEEP_INTERVAL_MS, startExpiry } from "./expiry.js";
import { startForgetting } from "./forgetting.js";
import { createHeartbeatStreams, type HeartbeatStreams } from "./heartbeat-streams.js";
import { History, type HistoryPolicy } from "./history.js";
import { Leases } from "./leases.js";
import { startPresenceFlush } from "./presence-flush.js";
import { createRegistry, type Registry } from "./registry.js";
import { joinAsNode } from "./shared-node.js";
import { startTokenEnds } from "./token-ends.js";
import { startTokenUses, type TokenUses } from "./token-uses.js";
import type { WatchPolicy } from "./watch-hub.js";
import { startWatching, type Watching } from "./watching.js";

/** A step of registry time, in ms: what is longer was a stall. Sweeps come four times as often. */
const MAX_STEP_MS = 4 * SWEEP_INTERVAL_MS;

export interface EngineOptions {
  /** Stays the caller's to close. */
  readonly store: Store;
  /** Where the server listens, for the other nodes. */
  readonly port: number;
  readonly policy: LeasePolicy;
  readonly history: HistoryPolicy;
  readonly watch: WatchPolicy;
  /** Registry time in ms. */
  readonly forgetAfterMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told when expiry is held because too many lapse at once, and when that is over. */
  readonly onHold: (isHeld: boolean) => void;
}

/** All of Pulse that goes on by itself, whether or not anybody calls. */
export interface Engine {
  readonly registry: Registry;
  readonly history: History;
  readonly leases: Leases;
  readonly signs: EntrySigns;
  readonly streams: HeartbeatStreams;
  readonly watching: Watching;
  readonly tokenUses: TokenUses;
  /** See Expiry.isHeld. */
  readonly isExpiryHeld: boolean;
  /** To be called first of all at a stop: streams that end from now on break nobody's lease. */
  holdStill(): Promise<void>;
  /** Ends all streams, telling when to come back. */
  drain(retryAfterMs: number): void;
  /** To be called last, when nobody calls any more. Resolves when nothing is under way. */
  stop(): Promise<void>;
}

/** @throws StoreUnavailableError if the store cannot be used, StoreOpenError if it is damaged. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { store, port, policy, clock, random, log } = options;
  const { shared } = store;
  const { maxCommits: maxHistory } = options.history;
  const stored = await store.load(maxHistory);
  const { registryTimeMs } = stored;
  const node =
    shared && (await joinAsNode({ shared, registryTimeMs, port, policy, clock, random, log }));
  const ownTime = new RegistryTime(registryTimeMs, () => clock.now(), MAX_STEP_MS);
  const registryNow = node?.registryNow ?? (() => ownTime.now());
  const registry = createRegistry({
    store,
    stored,
    clock,
    random,
    registryNow,
    sharedTime: node?.time,
    log,
    maxHistory,
  });
  const history = new History(stored, options.history);
  // First of all, since all others look it up.
  registry.onCommit((commit, changes) => history.append(commit, changes));
  registry.onReload((reloaded) => history.restart(reloaded));
  const leases = new Leases({ registry, policy, clock, registryNow, log, node: node?.node });
  const streams = createHeartbeatStreams(leases);
  const signs = createEntrySigns({ registry, leases, clock });
  const watching = startWatching({
    registry,
    leases,
    signs,
    history,
    clock,
    policy: options.watch,
    log,
  });
  const tokenEnds = startTokenEnds({ registry, clock, streams: [streams, watching] });
  const tokenUses = startTokenUses({ store, clock, log });
  const compaction = startCompaction({ history, store, clock, log });
  registry.onCommit(() => compaction.afterCommit());

  node?.start(registry, leases);
  const flush = node ? undefined : startPresenceFlush({ leases, store, clock, registryNow, log });
  const expiry = startExpiry({
    leases,
    ...(node && { dueElsewhere: node.dueElsewhere }),
    clock,
    registryNow,
    windowMs: policy.defaultTtlMs,
    log,
    onHold: options.onHold,
  });
  const { forgetAfterMs } = options;
  const forgetting = startForgetting({ registry, clock, registryNow, forgetAfterMs, log });
  let compacted = Promise.resolve();
  let usesWritten = Promise.resolve();

  return {
    registry,
    history,
    leases,
    signs,
    streams,
    watching,
    tokenUses,
    get isExpiryHeld() {
      return expiry.isHeld;
    },
    async holdStill() {
      compacted = compaction.stop(); // it may take a while: nobody waits for it before the drain
      forgetting.stop();
      expiry.stop();
      tokenEnds.stop();
      usesWritten = tokenUses.stop(); // as with the compaction
      await node?.leaveInstances();
      await flush?.stop();
    },
    drain(retryAfterMs) {
      streams.drain(retryAfterMs);
      watching.drain(retryAfterMs);
    },
    async stop() {
      await registry.stop();
      await usesWritten;
      await compacted;
      await node?.leave();
    },
  };
}
