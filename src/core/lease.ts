import { type FieldViolation, invalid } from "./errors.js";

/** How long leases last and how often they are renewed. All in ms. */
export interface LeasePolicy {
  /** TTL if none is asked for. */
  readonly defaultTtlMs: number;
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  /** How long after its stream broke without goodbye an instance is OFFLINE. */
  readonly reconnectGraceMs: number;
  /** Heartbeats per second that the whole fleet may send. */
  readonly maxHeartbeatsPerSecond: number;
}

export const DEFAULT_LEASE_POLICY: LeasePolicy = {
  defaultTtlMs: 15_000,
  minTtlMs: 5_000,
  maxTtlMs: 300_000,
  reconnectGraceMs: 3_000,
  maxHeartbeatsPerSecond: 2_000,
};

/** Heartbeats in one TTL: two may be lost before the lease is. */
const HEARTBEATS_PER_TTL = 3;

export interface Grant {
  readonly ttlMs: number;
  readonly heartbeatIntervalMs: number;
}

/**
 * The TTL and interval for one lease of a fleet: as asked, unless all leases
 * together would then send more heartbeats than the policy allows. So the cost
 * stays flat as the fleet grows.
 */
export function grantFor(askedTtlMs: number, fleetSize: number, policy: LeasePolicy): Grant {
  const ownIntervalMs = Math.floor(askedTtlMs / HEARTBEATS_PER_TTL);
  const fleetIntervalMs = Math.ceil((fleetSize / policy.maxHeartbeatsPerSecond) * 1_000);
  const heartbeatIntervalMs = Math.max(ownIntervalMs, fleetIntervalMs);
  return {
    ttlMs: Math.max(askedTtlMs, heartbeatIntervalMs * HEARTBEATS_PER_TTL),
    heartbeatIntervalMs,
  };
}

/**
 * The TTL to grant from what was asked (undefined: nothing was).
 * @throws DomainError of kind `invalid` on `requested_ttl` if it is out of bounds.
 */
export function checkTtl(requestedMs: number | undefined, policy: LeasePolicy): number {
  if (requestedMs === undefined) return policy.defaultTtlMs;
  if (requestedMs >= policy.minTtlMs && requestedMs <= policy.maxTtlMs) return requestedMs;
  const violation: FieldViolation = {
    field: "requested_ttl",
    description: `must be from ${policy.minTtlMs / 1_000} s to ${policy.maxTtlMs / 1_000} s; leave it out for ${policy.defaultTtlMs / 1_000} s`,
  };
  throw invalid([violation]);
}

export type LeaseLostReason = "unknown" | "expired" | "superseded" | "deregistered";

/**
 * A lease id names its service and generation, so that any Pulse can tell a
 * superseded lease from one it never gave, even after a restart; the random part
 * makes it unguessable.
 */
export function leaseIdOf(serviceId: string, generation: bigint, secret: string): string {
  return `${serviceId}.${generation}.${secret}`;
}

/** The service and generation that a lease id claims, or undefined if it is none of ours. */
export function parseLeaseId(
  leaseId: string,
): { readonly serviceId: string; readonly generation: bigint } | undefined {
  const match = /^([A-Za-z0-9-]{1,64})\.(\d{1,19})\.[A-Za-z0-9_-]{1,64}$/.exec(leaseId);
  if (!match?.[1] || !match[2]) return undefined;
  return { serviceId: match[1], generation: BigInt(match[2]) };
}

/** Why a lease that is not live is lost, by what is known of its service now. */
export function lostReason(
  leaseId: string,
  serviceOf: (
    serviceId: string,
  ) =>
    | { readonly generation: bigint; readonly leaseId: string; readonly removed: boolean }
    | undefined,
): LeaseLostReason {
  const claimed = parseLeaseId(leaseId);
  const service = claimed && serviceOf(claimed.serviceId);
  if (!claimed || !service) return "unknown";
  if (claimed.generation < service.generation) return "superseded";
  if (leaseId !== service.leaseId) return "unknown";
  return service.removed ? "deregistered" : "expired";
}
