import type { ChangeReason } from "./change.js";
import { type Command, commitService } from "./decision.js";
import type { Holding, Presence, ServiceStatus } from "./service.js";

/** A change of status, decided by liveness and fenced by the lease it was decided for. */
export interface TransitionRequest {
  readonly serviceId: string;
  /** If the service has another lease by now, nothing changes: the older generation loses. */
  readonly leaseId: string;
  /** The newest signs of life: the record's own may be of long ago. */
  readonly presence: Presence;
  readonly status: ServiceStatus;
  readonly statusReason: string;
  /** See ServiceRecord.saidOffline. */
  readonly saidOffline: boolean;
  readonly reason: ChangeReason;
  /** Whether the lease ends with it. */
  readonly endsLease: boolean;
  /** Asked at the last moment: false if the instance gave a sign of life since this was requested. */
  readonly isStillDue?: (holding: Holding | undefined) => boolean;
}

/** Outcome: whether the lease was still the service's own, and the transition still due. */
export function transition(request: TransitionRequest): Command<boolean> {
  return (context) => {
    const before = context.catalog.service(request.serviceId);
    const isOurs = before?.leaseActive && before.leaseId === request.leaseId;
    const isDue = () => request.isStillDue?.(context.holdingOf(request.serviceId)) ?? true;
    if (!isOurs || !isDue()) return { commit: undefined, outcome: false };
    const { status, statusReason, saidOffline } = request;
    const same =
      before.status === status &&
      before.statusReason === statusReason &&
      before.saidOffline === saidOffline;
    if (same && !request.endsLease) return { commit: undefined, outcome: true };
    const after = {
      ...before,
      ...request.presence,
      status,
      statusReason,
      saidOffline,
      leaseActive: !request.endsLease,
      revision: context.revision,
    };
    return { commit: commitService(context, before, after, request.reason), outcome: true };
  };
}
