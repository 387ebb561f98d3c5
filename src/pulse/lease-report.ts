import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { LoadSchema } from "../../gen/pulse/v1/load_pb.js";
import { isHeld, type LiveLease } from "./live-lease.js";

/**
 * What a node tells the others of the instances whose streams it has, that is no
 * change: when each gave its last sign of life, and how busy it is.
 */
type Report = readonly (readonly [leaseId: string, lastSeenAt: number, load?: JsonValue])[];

export function writeLeaseReport(leases: Iterable<LiveLease>): string {
  const report: Report = [...leases]
    .filter(isHeld)
    .map(({ record, lastSeenAt, load }) =>
      load
        ? [record.leaseId, Math.round(lastSeenAt), toJson(LoadSchema, load)]
        : [record.leaseId, Math.round(lastSeenAt)],
    );
  return JSON.stringify(report);
}

/** Takes what another node says into the leases that are not this node's own. */
export function readLeaseReport(
  report: string,
  leaseById: (leaseId: string) => LiveLease | undefined,
): void {
  for (const [leaseId, lastSeenAt, load] of JSON.parse(report) as Report) {
    const lease = leaseById(leaseId);
    if (!lease || isHeld(lease)) continue;
    lease.lastSeenAt = Math.max(lease.lastSeenAt, lastSeenAt);
    // A node of a newer release may say more than is known here.
    if (load !== undefined) lease.load = fromJson(LoadSchema, load, { ignoreUnknownFields: true });
  }
}
