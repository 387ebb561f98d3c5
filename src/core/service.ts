import type { Endpoint } from "./endpoint.js";
import type { FilePlaces } from "./file-places.js";
import type { DownloadProtocol } from "./kinds.js";

/** What a service says of itself, checked. All of it is service-owned. */
export interface ServiceSpec extends FilePlaces {
  readonly name: string;
  readonly type: string;
  /** Empty if the service did not say. */
  readonly kind: string;
  /** As registered; empty if there is none. */
  readonly apiUrl: string;
  /** `apiUrl` taken apart. */
  readonly endpoint: Endpoint | undefined;
  readonly healthUrl: string;
  readonly version: string;
  readonly capabilities: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Set for every download client. */
  readonly protocol: DownloadProtocol | undefined;
}

export type ServiceStatus = "online" | "degraded" | "offline";

export type CredentialState = "unverified" | "verified" | "rejected";

/** What is known of an instance's signs of life: in memory at once, in its record as last written. */
export interface Presence {
  /** Wall-clock ms of the last sign of life. */
  readonly lastSeenAt: number;
  /** When the lease runs out, in registry time. */
  readonly leaseExpiresAt: number;
  /** The lease was lengthened at a start of Pulse and not renewed since: no restart lengthens it again. */
  readonly leaseCredited: boolean;
  /**
   * Wall-clock ms of when the service's credentials, as they are now, were last accepted;
   * undefined: nobody has said so. A lease is always of the same credentials.
   */
  readonly verifiedAt: number | undefined;
}

/**
 * Where a lease stands in a store that several nodes share: which of them has the
 * stream, and when the instance lapses if none has. Instants in registry time,
 * but for `lastSeenAt`.
 */
export interface Holding {
  readonly leaseId: string;
  /** The node at which the instance's stream is open; undefined: none, so that any may let it lapse. */
  readonly nodeId: string | undefined;
  /** When the instance turns OFFLINE unless a node takes it. Not after `leaseExpiresAt`. */
  readonly lapsesAt: number;
  readonly leaseExpiresAt: number;
  /** Wall-clock ms. */
  readonly lastSeenAt: number;
}

/**
 * One instance as it is stored: registration, identity and lease in one row, so
 * that a restart of Pulse forgets no lease. Immutable; a change makes a new one.
 */
export interface ServiceRecord extends Presence {
  readonly id: string;
  readonly instanceId: string;
  /** SHA-256 of the pinned instance secret, base64url; undefined for an identity by (type, name). */
  readonly secretHash: string | undefined;
  readonly spec: ServiceSpec;
  /** Empty if there is none. */
  readonly username: string;
  /** API key or password in clear; empty if there is none. Encrypted by the store. */
  readonly apiKey: string;
  readonly credentialState: CredentialState;
  readonly status: ServiceStatus;
  readonly statusReason: string;
  /**
   * It is OFFLINE by its own word: it lives, and what it stands for does not. Its lease
   * goes on as if it were ONLINE. Any other OFFLINE means that nobody is there: `isGone`.
   */
  readonly saidOffline: boolean;
  /** Grows with every Register of this instance, across removals too. */
  readonly generation: bigint;
  readonly leaseId: string;
  /** True while the lease can be renewed; false after expiry, goodbye or removal. */
  readonly leaseActive: boolean;
  readonly ttlMs: number;
  /** Wall-clock ms. */
  readonly createdAt: number;
  /** Revision of its newest change. */
  readonly revision: bigint;
  /** False while it waits for an operator's approval, and managers do not see it. */
  readonly approved: boolean;
  /** Id of the token with which it registered last. */
  readonly tokenId: string;
  /** Deregistered or forgotten: the row keeps only the identity, its secret and its generation alive. */
  readonly removed: boolean;
}

/** Whether nobody gives signs of life: not of one that says itself that it is OFFLINE. */
export function isGone({
  status,
  saidOffline,
}: Pick<ServiceRecord, "status" | "saidOffline">): boolean {
  return status === "offline" && !saidOffline;
}
