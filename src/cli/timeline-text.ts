import {
  type ExplainServiceResponse,
  type TimelineEntry,
  TimelineSubject,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { type Service, ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";
import { enumWord } from "./options.js";
import { cell, stateCell } from "./output.js";
import { renderTable } from "./table.js";
import { timeCell } from "./tables.js";

/** What happened to a service, oldest first, and how it stands now. */
export function timelineText({ service, timeline, truncated }: ExplainServiceResponse): string {
  const rows = timeline.map((entry) => [
    timeCell(entry.time),
    String(entry.revision),
    cell(entry.reason),
    entry.subject === TimelineSubject.DOWNLOAD_CLIENT ? "download client" : "service",
    detailCell(entry),
  ]);
  const lines = [
    renderTable(["TIME", "REVISION", "WHAT", "TO", "DETAIL"], rows, "No changes are kept."),
    "",
    service ? standing(service) : "It is not registered now.",
  ];
  if (truncated) lines.push("Earlier changes are no longer kept.");
  return lines.join("\n");
}

/** Tells a removal from a change. */
function detailCell({ type, detail }: TimelineEntry): string {
  if (type !== ChangeType.DELETE) return cell(detail);
  return detail === "" ? stateCell("gone") : `${stateCell("gone")} (${cell(detail)})`;
}

function standing(service: Service): string {
  const name = cell(service.spec?.name ?? "");
  const status = stateCell(enumWord(ServiceStatusSchema, service.status));
  return `${name} is ${status} now (${cell(service.statusReason)}), last seen ${timeCell(service.lastSeenTime)}.`;
}
