import type { Load } from "../../gen/pulse/v1/load_pb.js";
import {
  type Grant,
  grantFor,
  type LeaseLostReason,
  type LeasePolicy,
  lostReason,
  parseLeaseId,
} from "../core/lease.js";
import { type Holding, isGone, type ServiceRecord, type ServiceStatus } from "../core/service.js";
import { type TransitionRequest, transition } from "../core/transition.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import {
  isHeld,
  type LeaseStream,
  type LiveLease,
  learn,
  NO_LINK,
  presenceOf,
  reportedIn,
  verified,
} from "./live-lease.js";
import type { Registry } from "./registry.js";
import { storeUnavailable } from "./status.js";

export interface HeartbeatReport {
  readonly leaseId: string;
  /** Undefined: as before. */
  readonly status: ServiceStatus | undefined;
  readonly statusReason: string;
  readonly load: Load | undefined;
  /** The credentials that were registered have been accepted since the heartbeat before. */
  readonly isVerified: boolean;
}

export type HeartbeatOutcome =
  | { readonly kind: "renewed"; readonly grant: Grant }
  | { readonly kind: "lost"; readonly reason: LeaseLostReason };

/** Why an instance is taken for gone that does not leave. */
export type Lapse = "expired" | "disconnected";

/** The part that this node has in leases which it shares with others. */
export interface Node {
  /** Among all that share the store. */
  readonly id: string;
  /** Whether a lease of this TTL may still be acknowledged, though the others may think that this node is dead. */
  mayPromise(ttlMs: number): boolean;
  /** Whether it may take instances: not while the others may think that it is dead, since they would not know. */
  readonly mayTake: boolean;
  /** The instance's stream is open here. */
  claim(lease: LiveLease): void;
  /** Its stream is not open here any more. */
  release(lease: LiveLease): void;
}

export interface LeasesOptions {
  readonly registry: Registry;
  readonly policy: LeasePolicy;
  readonly clock: Clock;
  readonly registryNow: () => number;
  readonly log: Log;
  /** Undefined: no other Pulse has a part in these leases. */
  readonly node?: Node | undefined;
}

/**
 * All live leases. Renewing one touches memory only; what changes a status goes
 * through the registry as a commit, and comes back here with it. On a store that
 * nodes share, a lease is looked after by the node that has its stream, and without
 * one by whichever gets there (see `carryOutDue`); the others know it from its record.
 */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #byId = new Map<string, LiveLease>();
  readonly #byService = new Map<string, LiveLease>();
  #unflushed = new Set<LiveLease>();

  constructor(options: LeasesOptions) {
    this.#options = options;
    if (options.node) this.#follow(options.registry.catalog.services());
    else this.#restore();
    options.registry.onCommit(({ services }) => this.#follow(services));
    options.registry.onReload(({ services }) => this.#reload(services));
  }

  get size(): number {
    return this.#byId.size;
  }

  all(): Iterable<LiveLease> {
    return this.#byId.values();
  }

  byId(leaseId: string): LiveLease | undefined {
    return this.#byId.get(leaseId);
  }

  ofService(serviceId: string): LiveLease | undefined {
    return this.#byService.get(serviceId);
  }

  /** The instance that has, or had, this lease; undefined: no lease of an instance that is known. */
  instanceOf(leaseId: string): string | undefined {
    const claimed = parseLeaseId(leaseId);
    return claimed && this.#options.registry.catalog.service(claimed.serviceId)?.instanceId;
  }

  /** Whether the stream of this lease is open. */
  isAttached(leaseId: string): boolean {
    return this.#byId.get(leaseId)?.link.name === "attached";
  }

  /** Wall-clock ms of the service's last sign of life: its record's own may be of long ago. */
  lastSeenAt(service: ServiceRecord): number {
    return this.#byService.get(service.id)?.lastSeenAt ?? service.lastSeenAt;
  }

  /** What the service last said of how busy it is. */
  loadOf(service: ServiceRecord | undefined): Load | undefined {
    return service && this.#byService.get(service.id)?.load;
  }

  /** Wall-clock ms of when the service's own credentials were last accepted; undefined: nobody has said so. */
  verifiedAt(service: ServiceRecord): number | undefined {
    const lease = this.#byService.get(service.id);
    return lease ? lease.verifiedAt : service.verifiedAt;
  }

  /**
   * Resolves once all leases are known that anybody had given when it was called.
   * @throws DomainError if the store is down.
   */
  catchUp(): Promise<void> {
    return this.#options.registry.refresh();
  }

  /** The least TTL that a fleet of this size gets, in ms. */
  get fleetTtlMs(): number {
    return grantFor(0, this.size, this.#options.policy).ttlMs;
  }

  grantOf(service: ServiceRecord): Grant {
    return grantFor(service.ttlMs, this.size, this.#options.policy);
  }

  /**
   * Renews a lease for the instance at the other end of `stream`. Writes nothing to disk.
   * @throws DomainError if this node has been cut off from the others for too long to promise anything.
   */
  renew(report: HeartbeatReport, stream: LeaseStream): HeartbeatOutcome {
    const { node } = this.#options;
    const lease = this.#byId.get(report.leaseId);
    if (!lease) return { kind: "lost", reason: this.#lostReason(report.leaseId) };
    const grant = this.grantOf(lease.record);
    // The newest stream wins: when an older one closes later, nothing happens.
    const isTaken = !isHeld(lease) || lease.link.stream !== stream;
    // The time that the others leave it began with them, unless they know that it is here.
    const isKnown = !isTaken && lease.link.hold === "held";
    if (node && !(isKnown ? node.mayPromise(grant.ttlMs) : node.mayTake)) throw storeUnavailable();
    lease.expiresAt = this.#options.registryNow() + grant.ttlMs;
    lease.lastSeenAt = this.#options.clock.wallNow();
    lease.credited = false;
    if (isTaken) {
      lease.link = { name: "attached", stream, hold: node ? "claimed" : "held" };
      node?.claim(lease);
    }
    if (report.load) lease.load = report.load;
    // Rejected ones stay that until a Register says otherwise.
    if (report.isVerified && lease.record.credentialState !== "rejected")
      verified(lease, lease.lastSeenAt);
    if (report.status) lease.reported = { status: report.status, reason: report.statusReason };
    if (!node) this.#unflushed.add(lease);
    this.reconcile(lease);
    return { kind: "renewed", grant };
  }

  /** Ends a lease because its instance leaves. Resolves once that is durable. */
  async goodbye(leaseId: string): Promise<HeartbeatOutcome> {
    const lease = this.#byId.get(leaseId);
    if (!lease) return { kind: "lost", reason: this.#lostReason(leaseId) };
    lease.link = NO_LINK; // so that its end is not told to the one who asked for it
    try {
      await this.#options.registry.run(
        transition({
          serviceId: lease.record.id,
          leaseId,
          presence: presenceOf(lease),
          status: "offline",
          statusReason: "goodbye",
          saidOffline: false,
          reason: "goodbye",
          endsLease: true,
        }),
      );
    } catch (error) {
      this.#options.node?.release(lease); // or nobody would let it lapse
      throw error;
    }
    return { kind: "renewed", grant: this.grantOf(lease.record) };
  }

  /** A stream has ended without goodbye for the leases that still hang on it. */
  streamBroke(stream: LeaseStream, leaseIds: Iterable<string>): void {
    const { node, policy, registryNow } = this.#options;
    const graceEndsAt = registryNow() + policy.reconnectGraceMs;
    for (const leaseId of leaseIds) {
      const lease = this.#byId.get(leaseId);
      if (lease?.link.name !== "attached" || lease.link.stream !== stream) continue;
      lease.link = node ? NO_LINK : { name: "broken", graceEndsAt };
      node?.release(lease);
    }
  }

  /**
   * The node was taken for dead, and is back: it holds nothing. An instance whose stream
   * is open may have moved on without that being noticed here: its next heartbeat tells.
   */
  holdNothing(): void {
    for (const lease of this.all())
      if (lease.link.name === "attached") lease.link = { ...lease.link, hold: "lost" };
  }

  /** The others know that the stream of this lease is open here. */
  claimed(leaseId: string): void {
    const lease = this.#byId.get(leaseId);
    if (lease?.link.name !== "attached" || lease.link.hold !== "claimed") return;
    lease.link = { ...lease.link, hold: "held" };
    this.reconcile(lease);
  }

  /**
   * Why this instance should be gone by now, or undefined; also if that is for others to
   * find out. That a stream broke is no news of one that is OFFLINE anyway: its lease is
   * waited for.
   */
  lapse(lease: LiveLease, now: number): Lapse | undefined {
    const { record, link, expiresAt } = lease;
    const isOthers = this.#options.node && !isHeld(lease);
    if (isOthers && !isGone(record)) return undefined;
    if (expiresAt <= now) return "expired";
    const isBroken = link.name === "broken" && link.graceEndsAt <= now;
    return isBroken && record.status !== "offline" ? "disconnected" : undefined;
  }

  /**
   * Whether an instance that is not due may be about to lapse: its stream has broken, or
   * has brought nothing for half of its TTL, when a heartbeat was due after a third.
   */
  isDoubtful(lease: LiveLease, now: number): boolean {
    const { link, record, expiresAt } = lease;
    if (isGone(record)) return false;
    return link.name === "broken" || (isHeld(lease) && expiresAt - now < record.ttlMs / 2);
  }

  /** Ends a lease that ran out, or turns an instance OFFLINE whose grace is over. */
  carryOutLapse(lease: LiveLease, lapse: Lapse): void {
    if (isGone(lease.record)) {
      // Managers have known for long: that the lease ends now is no change to them.
      if (lapse === "expired") this.#drop(lease, "expired");
      return;
    }
    const { node, registryNow } = this.#options;
    const { link } = lease;
    let isOthers = false;
    void this.#change(lease, "offline", lapse, lapse, {
      presence: presenceOf(lease),
      isStillDue: (holding) => {
        isOthers = node !== undefined && holding?.nodeId !== node.id;
        return !isOthers && this.lapse(lease, registryNow()) !== undefined;
      },
    }).then(() => {
      if (isOthers && lease.link === link) this.#loseHold(lease);
    });
  }

  /** The lease that is due in the shared store, unless this node knows better. */
  ofDue(serviceId: string, { leaseId }: Holding): LiveLease | undefined {
    const lease = this.#byService.get(serviceId);
    return lease?.record.leaseId === leaseId && !isHeld(lease) ? lease : undefined;
  }

  /** Turns an instance OFFLINE that no node holds, and that is due in the shared store. */
  carryOutDue(lease: LiveLease, { lapsesAt, leaseExpiresAt, lastSeenAt }: Holding): void {
    const lapse = lapsesAt < leaseExpiresAt ? "disconnected" : "expired";
    void this.#change(lease, "offline", lapse, lapse, {
      presence: {
        lastSeenAt,
        leaseExpiresAt,
        leaseCredited: false,
        verifiedAt: lease.verifiedAt,
      },
      isStillDue: (holding) =>
        holding !== undefined && holding.nodeId === undefined && holding.lapsesAt === lapsesAt,
    });
  }

  /** Brings the recorded status in step with what the instance says of itself. */
  reconcile(lease: LiveLease): void {
    const { record, reported } = lease;
    const reason = reported.reason || record.statusReason;
    const isReturn = isGone(record);
    const isSame = record.status === reported.status && record.statusReason === reason;
    if (isSame && !isReturn) return;
    // Before the others know that it is here, they would turn it OFFLINE again.
    if (isReturn && lease.link.name === "attached" && lease.link.hold === "claimed") return;
    void this.#change(
      lease,
      reported.status,
      reported.reason || ownReason(reported.status, isReturn),
      isReturn ? "returned" : "status reported",
    );
  }

  /** Leases renewed since the last call. Give them back with `unflushed` if they could not be written. */
  takeUnflushed(): ReadonlySet<LiveLease> {
    const taken = this.#unflushed;
    this.#unflushed = new Set();
    return taken;
  }

  unflushed(leases: Iterable<LiveLease>): void {
    for (const lease of leases) this.#unflushed.add(lease);
  }

  /** Resolves when it is done, or has failed. */
  #change(
    lease: LiveLease,
    status: ServiceStatus,
    statusReason: string,
    reason: Lapse | "returned" | "status reported",
    lapsing?: Pick<TransitionRequest, "presence" | "isStillDue">,
  ): Promise<void> {
    if (lease.isChanging) return Promise.resolve();
    lease.isChanging = true;
    const { id: serviceId, leaseId } = lease.record;
    return this.#options.registry
      .run(
        transition({
          serviceId,
          leaseId,
          presence: presenceOf(lease),
          status,
          statusReason,
          saidOffline: status === "offline" && !lapsing,
          reason,
          endsLease: reason === "expired",
          ...lapsing,
        }),
        lapsing && serviceId,
      )
      .then(
        () => {
          lease.isChanging = false;
          // It may have said something else meanwhile.
          if (lease.link.name === "attached") this.reconcile(lease);
        },
        (error: unknown) => {
          // The next heartbeat or the next sweep tries again.
          lease.isChanging = false;
          this.#options.log.warn({ err: error, serviceId, status }, "lease.status_not_written");
        },
      );
  }

  /** It is others that let it lapse, if they do. */
  #loseHold(lease: LiveLease): void {
    if (!isHeld(lease)) return;
    lease.link = { ...lease.link, hold: "lost" };
    this.#options.node?.release(lease); // in the place of a claim that could not be written yet
  }

  #lostReason(leaseId: string): LeaseLostReason {
    return lostReason(leaseId, (id) => this.#options.registry.catalog.service(id));
  }

  /** Keeps the leases in step with records that were written. */
  #follow(records: Iterable<ServiceRecord>): void {
    for (const record of records) {
      const lease = this.#byService.get(record.id);
      if (lease?.record.leaseId === record.leaseId && record.leaseActive) {
        lease.record = record;
        if (this.#options.node && !isHeld(lease)) learn(lease, record);
        continue;
      }
      if (lease)
        this.#drop(
          lease,
          lostReason(lease.record.leaseId, () => record),
        );
      if (record.leaseActive) {
        const added = this.#add(record, lease?.load);
        if (!isGone(record))
          added.expiresAt = this.#options.registryNow() + this.grantOf(record).ttlMs;
      }
    }
  }

  /** A lease of which nothing is known any more was of a history that is gone. */
  #reload(records: readonly ServiceRecord[]): void {
    const known = new Set(records.map(({ id }) => id));
    for (const lease of this.all()) if (!known.has(lease.record.id)) this.#drop(lease, "unknown");
    this.#follow(records);
    this.holdNothing();
  }

  #add(record: ServiceRecord, load: Load | undefined): LiveLease {
    const lease: LiveLease = {
      record,
      link: NO_LINK,
      expiresAt: record.leaseExpiresAt,
      lastSeenAt: record.lastSeenAt,
      credited: record.leaseCredited,
      reported: reportedIn(record),
      load,
      verifiedAt: record.verifiedAt,
      isChanging: false,
    };
    this.#byId.set(record.leaseId, lease);
    this.#byService.set(record.id, lease);
    return lease;
  }

  #drop(lease: LiveLease, reason: LeaseLostReason): void {
    this.#byId.delete(lease.record.leaseId);
    if (this.#byService.get(lease.record.id) === lease) this.#byService.delete(lease.record.id);
    this.#unflushed.delete(lease);
    if (lease.link.name === "attached") lease.link.stream.leaseLost(lease.record.leaseId, reason);
  }

  /**
   * Takes up the leases of the run before. Whoever was alive in it gets a whole
   * TTL and the reconnect grace to come back; but only once, or frequent restarts
   * would keep the dead alive.
   */
  #restore(): void {
    const now = this.#options.registryNow();
    for (const record of this.#options.registry.catalog.services()) {
      const mayReturn = record.leaseActive && record.leaseExpiresAt > now;
      if (isGone(record) ? !mayReturn : !record.leaseActive) continue;
      const lease = this.#add(record, undefined);
      if (isGone(record)) continue;
      if (!record.leaseCredited)
        lease.expiresAt = now + record.ttlMs + this.#options.policy.reconnectGraceMs;
      lease.credited = true;
      this.#unflushed.add(lease);
    }
  }
}

/** The registry's word for a status that an instance gave no reason for. */
function ownReason(status: ServiceStatus, isReturn: boolean): string {
  if (status === "offline") return "";
  if (isReturn) return "returned";
  return status === "online" ? "recovered" : "";
}
