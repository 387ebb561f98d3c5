import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type {
  DownloadClientService,
  ListDownloadClientsRequest,
  ListDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import type { EntryRecord } from "../core/entry.js";
import type { ServiceRecord } from "../core/service.js";
import { allows } from "../core/token.js";
import { callerOf } from "./authenticate.js";
import { downloadClientOf, readAvailability, readProtocol } from "./convert.js";
import type { ScopeTable } from "./guard.js";
import type { Leases } from "./leases.js";
import { pageOf } from "./page.js";
import type { Registry } from "./registry.js";
import { writeResumeToken } from "./resume-token.js";

export const DOWNLOAD_CLIENT_SCOPES: ScopeTable<typeof DownloadClientService> = {
  listDownloadClients: ["observe", "discover"],
};

export interface DownloadClientServiceOptions {
  readonly registry: Registry;
  readonly leases: Leases;
}

export function createDownloadClientService(
  options: DownloadClientServiceOptions,
): ServiceImpl<typeof DownloadClientService> {
  return {
    listDownloadClients: (request, context) => handleList(request, context, options),
  };
}

function handleList(
  request: ListDownloadClientsRequest,
  context: HandlerContext,
  { registry, leases }: DownloadClientServiceOptions,
): MessageInitShape<typeof ListDownloadClientsResponseSchema> {
  const { catalog, epoch } = registry;
  const { revision, stamp } = catalog;
  const page = pageOf(
    [...catalog.entries()].filter(filterOf(request)),
    ({ entry }) => entry.name,
    ({ entry, service }) => [entry, service],
    request,
  );
  const withCredentials = allows(callerOf(context).scopes, ["discover"]);
  return {
    downloadClients: page.items.map(({ entry, service }) =>
      downloadClientOf(entry, service, leases.ofService(service.id)?.load, withCredentials),
    ),
    nextPageToken: page.nextPageToken,
    revision,
    resumeToken: writeResumeToken({ epoch, revision, stamp }),
  };
}

function filterOf(request: ListDownloadClientsRequest) {
  const protocol = readProtocol(request.protocol, "protocol");
  const availabilities = request.availabilities.map((value, i) =>
    readAvailability(value, `availabilities[${i}]`),
  );
  return ({ entry, service }: { entry: EntryRecord; service: ServiceRecord }) =>
    (protocol === undefined || service.spec.protocol === protocol) &&
    (request.kinds.length === 0 || request.kinds.includes(service.spec.kind)) &&
    (availabilities.length === 0 || availabilities.includes(service.status)) &&
    (request.enabled === undefined || entry.enabled === request.enabled);
}
