import type { Actor } from "../../src/core/audit.js";
import type { AuditEvent, AuditRecorder } from "../../src/pulse/audit-recorder.js";

export const OPS: Actor = { tokenId: "ops-id", tokenName: "ops", address: "127.0.0.1" };

/** A recorder that keeps what it is told. */
export interface RecordedAudit extends AuditRecorder {
  readonly events: AuditEvent[];
}

export function recordedAudit(): RecordedAudit {
  const events: AuditEvent[] = [];
  return {
    events,
    record: (event) => void events.push(event),
    recordRead(actor, names, subjectId = "") {
      const detail = names.join(", ");
      events.push({
        actor,
        action: "credentials read",
        subject: "download-client",
        subjectId,
        detail,
      });
    },
    stop: () => Promise.resolve(),
  };
}
