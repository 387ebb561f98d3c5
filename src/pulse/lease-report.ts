import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import { isHeld, type LiveLease, verified } from "./live-lease.js";

/**
 * What a node tells the others of the instances whose streams it has, that is no
 * change: when each gave its last sign of life, how busy it is, and when its credentials
 * were last accepted. Of one that tells this and no load, the load is empty: nodes of
 * releases before read it.
 */
type Report = readonly (readonly [
  leaseId: string,
  lastSeenAt: number,
  load?: JsonValue,
  verifiedAt?: number,
])[];

export function writeLeaseReport(leases: Iterable<LiveLease>): string {
  const report: Report = [...leases].filter(isHeld).map(({ record, verifiedAt, ...lease }) => {
    const sign = [record.leaseId, Math.round(lease.lastSeenAt)] as const;
    const load = lease.load && toJson(LoadSchema, lease.load);
    if (verifiedAt !== undefined) return [...sign, load ?? {}, Math.round(verifiedAt)];
    return load === undefined ? sign : [...sign, load];
  });
  return JSON.stringify(report);
}

/** Takes what another node says into the leases that are not this node's own. */
export function readLeaseReport(
  report: string,
  leaseById: (leaseId: string) => LiveLease | undefined,
): void {
  for (const [leaseId, lastSeenAt, load, verifiedAt] of JSON.parse(report) as Report) {
    const lease = leaseById(leaseId);
    if (!lease || isHeld(lease)) continue;
    lease.lastSeenAt = Math.max(lease.lastSeenAt, lastSeenAt);
    verified(lease, verifiedAt);
    // A node of a newer release may say more than is known here.
    if (load !== undefined) lease.load = fromJson(LoadSchema, load, { ignoreUnknownFields: true });
  }
}
