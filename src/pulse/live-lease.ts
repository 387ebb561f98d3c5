import type { Load } from "../../gen/pulse/v1/load_pb.js";
import type { LeaseLostReason } from "../core/lease.js";
import { isGone, type Presence, type ServiceRecord, type ServiceStatus } from "../core/service.js";

/** A heartbeat stream, as its leases see it. */
export interface LeaseStream {
  leaseLost(leaseId: string, reason: LeaseLostReason): void;
}

/** How a lease hangs on its instance now. */
export type Link =
  /** No stream: it was just registered, restored, or is renewed by Register alone. Only its TTL counts. */
  | { readonly name: "none" }
  | {
      readonly name: "attached";
      readonly stream: LeaseStream;
      /**
       * Whether nobody else lets it lapse: it is to be `claimed` from the other nodes,
       * it is `held`, or it was `lost` to them and there was no sign of life since.
       */
      readonly hold: "claimed" | "held" | "lost";
    }
  /**
   * Its stream broke without goodbye: OFFLINE from `graceEndsAt` (registry time) on. In a
   * shared store that is written down instead, and the lease has no link here any more.
   */
  | { readonly name: "broken"; readonly graceEndsAt: number };

/** No stream is open here. */
export const NO_LINK: Link = { name: "none" };

/** A lease that can be renewed, in memory. Its durable half is the service's record. */
export interface LiveLease {
  record: ServiceRecord;
  link: Link;
  /** Registry time. */
  expiresAt: number;
  /** Wall-clock ms. */
  lastSeenAt: number;
  /** See ServiceRecord.leaseCredited. */
  credited: boolean;
  /** What the instance last said of itself. */
  reported: { readonly status: ServiceStatus; readonly reason: string };
  load: Load | undefined;
  /** See Presence. */
  verifiedAt: number | undefined;
  /** A status change of this lease is being committed; the next is looked at after it. */
  isChanging: boolean;
}

/** What a lease's record would say of its signs of life, were it written now. */
export function presenceOf({ lastSeenAt, expiresAt, credited, verifiedAt }: LiveLease): Presence {
  return { lastSeenAt, leaseExpiresAt: expiresAt, leaseCredited: credited, verifiedAt };
}

/** Whether this Pulse has the stream, and nobody else lets the lease lapse. */
export function isHeld(
  lease: LiveLease,
): lease is LiveLease & { link: Extract<Link, { name: "attached" }> } {
  return lease.link.name === "attached" && lease.link.hold !== "lost";
}

/**
 * What an instance said of itself, by its record. Whoever gives a sign of life is
 * online, unless it has said otherwise. The reason of an online record is the
 * registry's word, not the instance's.
 */
export function reportedIn(record: ServiceRecord): LiveLease["reported"] {
  const { status, statusReason } = record;
  return status === "online" || isGone(record)
    ? { status: "online", reason: "" }
    : { status, reason: statusReason };
}

/** What its record says of a lease that another node looks after. */
export function learn(lease: LiveLease, record: ServiceRecord): void {
  lease.expiresAt = record.leaseExpiresAt;
  lease.lastSeenAt = Math.max(lease.lastSeenAt, record.lastSeenAt);
  verified(lease, record.verifiedAt);
  // What it said before it was gone holds for its return.
  if (!isGone(record)) lease.reported = reportedIn(record);
}

/** Somebody heard, at `at` in wall-clock ms, that the credentials of a lease are accepted. */
export function verified(lease: LiveLease, at: number | undefined): void {
  if (at !== undefined) lease.verifiedAt = Math.max(at, lease.verifiedAt ?? at);
}
