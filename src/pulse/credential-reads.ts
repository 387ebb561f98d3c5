import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type { WatchDownloadClientsResponse } from "../../gen/pulse/v1/download_client_service_pb.js";
import type { Actor } from "../core/audit.js";
import type { AuditRecorder } from "./audit-recorder.js";

/** Names of the entries whose credentials are in these messages. */
export function readNames(entries: readonly DownloadClient[]): string[] {
  return entries.filter(hasCredentials).map(({ name }) => name);
}

function hasCredentials({ username, password }: DownloadClient): boolean {
  return username !== "" || password !== "";
}

/** To be called with each response that a watch sends. */
export function watchReads(
  audit: AuditRecorder,
  actor: Actor,
): (response: WatchDownloadClientsResponse) => void {
  return ({ event }) => {
    if (event.case === "snapshot") {
      const names = readNames(event.value.downloadClients);
      if (names.length > 0) audit.recordRead(actor, names);
    } else if (event.case === "change") {
      const { downloadClient: entry } = event.value;
      if (entry && hasCredentials(entry)) audit.recordRead(actor, [entry.name]);
    }
  };
}
