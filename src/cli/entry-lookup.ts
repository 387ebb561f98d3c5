import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type { PulseConnection } from "../client/index.js";
import { listDownloadClients } from "./lists.js";
import { findItem } from "./lookup.js";

/**
 * The entry with that id or name, deleted ones included, as it is now.
 * @throws CommandError if there is none
 */
export async function findEntry(pulse: PulseConnection, text: string): Promise<DownloadClient> {
  const { downloadClients } = await listDownloadClients(pulse, { showDeleted: true });
  return findItem(downloadClients, text, {
    what: "download client",
    idsOf: ({ id }) => [id],
    nameOf: ({ name }) => name,
  });
}
