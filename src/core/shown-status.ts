import type { ServiceRecord, ServiceStatus } from "./service.js";

/** How a service is shown: its liveness, unless it waits for approval. */
export type ShownStatus = ServiceStatus | "pending";

export function shownStatus({ approved, status }: ServiceRecord): ShownStatus {
  return approved ? status : "pending";
}

/** For people; of a service that waits, what to do about it. */
export function shownReason({ id, approved, statusReason }: ServiceRecord): string {
  return approved ? statusReason : `waits for approval: pulse services approve ${id}`;
}
