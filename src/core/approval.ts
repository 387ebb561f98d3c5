import { type Command, commitService } from "./decision.js";
import { notFound } from "./errors.js";
import type { ServiceRecord } from "./service.js";
import { isFromSameParty, type Registrant } from "./trust.js";

/**
 * Whether managers may see a service after this Register. An approval holds as long as
 * it is surely the same party that registers, and the same kind of thing at the same
 * address; and who waits goes on waiting, also where approval is not required any more.
 */
export function isApprovedAfter(
  request: Registrant,
  before: ServiceRecord | undefined,
  requireApproval: boolean,
): boolean {
  const kept = before?.removed ? undefined : before;
  if (!kept) return !requireApproval;
  if (!kept.approved) return false;
  return !requireApproval || !isOther(request, kept);
}

function isOther(request: Registrant, before: ServiceRecord): boolean {
  if (before.secretHash !== undefined) return false;
  const { spec } = request;
  const isSame = spec.kind === before.spec.kind && spec.type === before.spec.type;
  return !isSame || !isFromSameParty(request, before);
}

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
