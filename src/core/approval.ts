import { type Command, commitService } from "./decision.js";
import { notFound } from "./errors.js";
import type { ServiceRecord } from "./service.js";

/** A service after its approval, and the revision of that, or the current one. */
export interface ApprovalOutcome {
  readonly service: ServiceRecord;
  readonly revision: bigint;
}

/**
 * Lets managers see a service that waits, and what the same instance registers later.
 * @param by name of the operator's token
 * @throws DomainError: no such service.
 */
export function approve(serviceId: string, by: string): Command<ApprovalOutcome> {
  return (context) => {
    const before = context.catalog.presentService(serviceId);
    if (!before) throw notFound("service", serviceId);
    if (before.approved)
      return {
        commit: undefined,
        outcome: { service: before, revision: context.catalog.revision },
      };
    const service = { ...before, approved: true, revision: context.revision };
    return {
      commit: commitService(context, before, service, `approved by ${by}`),
      outcome: { service, revision: context.revision },
    };
  };
}
