import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  AvailabilitySchema,
  CredentialStateSchema,
  type DownloadClient,
} from "../../gen/pulse/v1/download_client_pb.js";
import type {
  ListDownloadClientsRequestSchema,
  ListDownloadClientsResponse,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { ProtocolSchema } from "../../gen/pulse/v1/protocol_pb.js";
import type {
  ListServicesRequestSchema,
  ListServicesResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { type Service, ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import { ScopeSchema, type Token } from "../../gen/pulse/v1/token_service_pb.js";
import type { PulseConnection } from "../client/index.js";
import { enumWord } from "./options.js";
import { cell, renderTable, stateCell } from "./output.js";

/**
 * All pages as one response. Its revision and resume token are those of the
 * first page: a watch from there misses nothing that changed between pages.
 */
export async function listServices(
  pulse: PulseConnection,
  filter: MessageInitShape<typeof ListServicesRequestSchema> = {},
): Promise<ListServicesResponse> {
  const whole = await pulse.registry.listServices(filter);
  while (whole.nextPageToken !== "") {
    const page = await pulse.registry.listServices({ ...filter, pageToken: whole.nextPageToken });
    whole.services.push(...page.services);
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
    whole.nextPageToken = page.nextPageToken;
  }
  return whole;
}

/** The table of `pulse services list`. `lastSeen` changes with every heartbeat: leave it out of what is redrawn on change. */
export function servicesTable(services: readonly Service[], lastSeen: boolean): string {
  return renderTable(
    ["NAME", "TYPE", "KIND", "STATUS", "REASON", "URL", ...(lastSeen ? ["LAST SEEN"] : []), "ID"],
    services.map((service) => [
      cell(service.spec?.name ?? ""),
      cell(service.spec?.type ?? ""),
      cell(service.spec?.kind ?? ""),
      stateCell(enumWord(ServiceStatusSchema, service.status)),
      cell(service.statusReason),
      cell(service.spec?.apiUrl ?? ""),
      ...(lastSeen ? [timeCell(service.lastSeenTime)] : []),
      cell(service.id),
    ]),
    "No services.",
  );
}

/** The table of `pulse clients list`. */
export function downloadClientsTable(
  entries: readonly DownloadClient[],
  showCredentials: boolean,
): string {
  const credentialHead = showCredentials ? ["USERNAME", "PASSWORD"] : ["CREDENTIALS"];
  return renderTable(
    ["NAME", "KIND", "PROTOCOL", "ADDRESS", "AVAILABILITY", "REASON", "ENABLED", ...credentialHead],
    entries.map((entry) => [
      cell(entry.name),
      cell(entry.kind),
      enumWord(ProtocolSchema, entry.protocol),
      cell(address(entry)),
      stateCell(enumWord(AvailabilitySchema, entry.availability)),
      cell(entry.availabilityReason),
      entry.enabled ? "yes" : "no",
      ...(showCredentials ? [cell(entry.username), cell(entry.password)] : [credentialCell(entry)]),
    ]),
    "No download clients.",
  );
}

/** The table of `pulse token list`. */
export function tokensTable(tokens: readonly Token[]): string {
  return renderTable(
    ["ID", "NAME", "SCOPES", "CREATED", "STATE"],
    tokens.map((token) => [
      cell(token.id),
      cell(token.name),
      token.scopes.map((scope) => enumWord(ScopeSchema, scope)).join(", "),
      timeCell(token.createTime),
      stateCell(token.revokeTime ? "revoked" : "valid"),
    ]),
    "No tokens.",
  );
}

/** Blanks what a screen or a log should not show. */
export function hideCredentials(list: ListDownloadClientsResponse): void {
  for (const entry of list.downloadClients) {
    entry.username = "";
    entry.password = "";
  }
}

function address(entry: DownloadClient): string {
  const host = entry.host.includes(":") ? `[${entry.host}]` : entry.host;
  return `${entry.useSsl ? "https" : "http"}://${host}:${entry.port}${entry.urlBase}`;
}

/** That there are credentials and what is known of them, not what they are. */
function credentialCell(entry: DownloadClient): string {
  if (entry.password === "" && entry.username === "") return "none";
  return `hidden, ${stateCell(enumWord(CredentialStateSchema, entry.credentialState))}`;
}

function timeCell(time: Timestamp | undefined): string {
  return time
    ? timestampDate(time)
        .toISOString()
        .replace(/\.\d+Z$/, "Z")
    : "-";
}
