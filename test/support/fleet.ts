import { DEFAULT_LEASE_POLICY, type LeasePolicy } from "../../src/core/lease.js";
import { type RegisterRequest, register } from "../../src/core/registration.js";
import { RegistryTime } from "../../src/core/registry-time.js";
import type { ServiceStatus } from "../../src/core/service.js";
import { createEntrySigns, type EntrySigns } from "../../src/pulse/entry-signs.js";
import { type Expiry, startExpiry } from "../../src/pulse/expiry.js";
import { DEFAULT_HISTORY_POLICY, History, type HistoryPolicy } from "../../src/pulse/history.js";
import { type HeartbeatReport, Leases } from "../../src/pulse/leases.js";
import type { LeaseStream } from "../../src/pulse/live-lease.js";
import { startPresenceFlush } from "../../src/pulse/presence-flush.js";
import { createRegistry, type Registry } from "../../src/pulse/registry.js";
import { DEFAULT_WATCH_POLICY, type WatchPolicy } from "../../src/pulse/watch-hub.js";
import { startWatching, type Watching } from "../../src/pulse/watching.js";
import { registerRequest } from "./decisions.js";
import { ManualClock, settle } from "./manual-clock.js";
import { MemoryStore } from "./memory-store.js";
import { recordingLog } from "./recording-log.js";
import { seededRandom } from "./seeded-random.js";

/** A stream that remembers what it was told. */
export class RecordingStream implements LeaseStream {
  readonly lost: [string, string][] = [];
  leaseLost(leaseId: string, reason: string): void {
    this.lost.push([leaseId, reason]);
  }
}

export interface FleetOptions {
  readonly history?: Partial<HistoryPolicy>;
  readonly watch?: Partial<WatchPolicy>;
}

/**
 * The server's liveness and its watches without a network, on a manual clock;
 * `restart` begins a new run on the same store.
 */
export class Fleet {
  readonly log = recordingLog();
  readonly holds: boolean[] = [];
  readonly #policy: LeasePolicy;
  readonly #options: FleetOptions;
  registry!: Registry;
  history!: History;
  leases!: Leases;
  signs!: EntrySigns;
  watching!: Watching;
  expiry!: Expiry;
  flush!: { stop(): Promise<void> };
  registryNow!: () => number;

  private constructor(
    readonly clock: ManualClock,
    readonly store: MemoryStore,
    policy: Partial<LeasePolicy>,
    options: FleetOptions,
  ) {
    this.#policy = { ...DEFAULT_LEASE_POLICY, ...policy };
    this.#options = options;
  }

  static async start(
    policy: Partial<LeasePolicy> = {},
    options: FleetOptions = {},
  ): Promise<Fleet> {
    const fleet = new Fleet(new ManualClock(), new MemoryStore(), policy, options);
    await fleet.#run();
    return fleet;
  }

  async #run(): Promise<void> {
    const { clock, store, log } = this;
    const stored = await store.load();
    const time = new RegistryTime(stored.registryTimeMs, () => clock.now(), 1_000);
    const registryNow = () => time.now();
    this.registryNow = registryNow;
    this.registry = createRegistry({
      store,
      stored,
      clock,
      random: seededRandom(7),
      registryNow,
      log,
      gatherMs: 0,
    });
    const { registry } = this;
    const history = new History(stored, { ...DEFAULT_HISTORY_POLICY, ...this.#options.history });
    this.history = history;
    registry.onCommit((commit, changes) => history.append(commit, changes));
    this.leases = new Leases({
      registry,
      policy: this.#policy,
      clock,
      registryNow,
      log,
    });
    this.signs = createEntrySigns({ registry, leases: this.leases, clock });
    this.watching = startWatching({
      registry,
      leases: this.leases,
      signs: this.signs,
      history,
      clock,
      policy: { ...DEFAULT_WATCH_POLICY, ...this.#options.watch },
      log,
    });
    this.expiry = startExpiry({
      leases: this.leases,
      clock,
      registryNow,
      windowMs: this.#policy.defaultTtlMs,
      log,
      onHold: (isHeld) => this.holds.push(isHeld),
    });
    this.flush = startPresenceFlush({ leases: this.leases, store, clock, registryNow, log });
  }

  /** Ends this run, with a last flush or by SIGKILL, and begins the next after `downMs`. */
  async restart(how: "stop" | "kill", downMs: number): Promise<void> {
    if (how === "stop") await this.flush.stop();
    this.clock.cancelAll();
    this.clock.stall(downMs);
    await this.#run();
  }

  /** Registers instance `n`, and returns its service as recorded. */
  async register(n: number, change: Partial<RegisterRequest> = {}) {
    const request = registerRequest({
      instanceId: `i${n}`,
      secretHash: `h${n}`,
      verifiedAt: (service) => this.leases.verifiedAt(service),
      ...change,
    });
    const outcome = this.registry.run(
      register(request, (secret) => secret, { maxServices: 1_000_000 }),
    );
    await settle();
    return (await outcome).service;
  }

  heartbeat(
    leaseId: string,
    stream: LeaseStream = new RecordingStream(),
    status?: ServiceStatus,
    statusReason = "",
  ) {
    return this.report({ leaseId, status, statusReason }, stream);
  }

  /** A heartbeat that may say more. */
  report(
    report: Partial<HeartbeatReport> & { readonly leaseId: string },
    stream: LeaseStream = new RecordingStream(),
  ) {
    const silent = { status: undefined, statusReason: "", load: undefined, isVerified: false };
    return this.leases.renew({ ...silent, ...report }, stream);
  }

  status(n: number): string {
    const service = this.registry.catalog.serviceByInstance(`i${n}`);
    return service ? `${service.status}: ${service.statusReason}` : "none";
  }

  /** Reasons of all commits so far. */
  reasons(): string[] {
    return this.store.commits.map(({ reason }) => reason);
  }
}
