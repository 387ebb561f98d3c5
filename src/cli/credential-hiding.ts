import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";

/** Blanks what a screen or a log should not show. That there is an override stays. */
export function hideCredentials(entries: Iterable<DownloadClient | undefined>): void {
  for (const entry of entries) {
    if (!entry) continue;
    entry.username = "";
    entry.password = "";
    const { overrides } = entry;
    if (overrides?.username !== undefined) overrides.username = "";
    if (overrides?.password !== undefined) overrides.password = "";
  }
}
