import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ListDownloadClientsRequestSchema,
  ListDownloadClientsResponse,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import type {
  ListServicesRequestSchema,
  ListServicesResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import type { PulseConnection } from "../client/index.js";

/**
 * All pages as one response. Its revision and resume token are those of the
 * first page: a watch from there misses nothing that changed between pages. It is
 * stale if any of them is.
 */
export async function listServices(
  pulse: PulseConnection,
  filter: MessageInitShape<typeof ListServicesRequestSchema> = {},
): Promise<ListServicesResponse> {
  const whole = await pulse.registry.listServices(filter);
  while (whole.nextPageToken !== "") {
    const page = await pulse.registry.listServices({ ...filter, pageToken: whole.nextPageToken });
    whole.services.push(...page.services);
    whole.stale ||= page.stale;
    whole.nextPageToken = page.nextPageToken;
  }
  return whole;
}

/** As `listServices`. */
export async function listDownloadClients(
  pulse: PulseConnection,
  filter: MessageInitShape<typeof ListDownloadClientsRequestSchema> = {},
): Promise<ListDownloadClientsResponse> {
  const whole = await pulse.downloadClients.listDownloadClients(filter);
  while (whole.nextPageToken !== "") {
    const page = await pulse.downloadClients.listDownloadClients({
      ...filter,
      pageToken: whole.nextPageToken,
    });
    whole.downloadClients.push(...page.downloadClients);
    whole.stale ||= page.stale;
    whole.nextPageToken = page.nextPageToken;
  }
  return whole;
}
