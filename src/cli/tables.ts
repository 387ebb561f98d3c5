import { type Timestamp, timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  AuthScheme,
  Availability,
  AvailabilitySchema,
  CredentialStateSchema,
  type DownloadClient,
  Source,
  SourceSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import { ProtocolSchema } from "../../gen/pulse/v1/protocol_pb.js";
import { type Service, ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import { Scope, ScopeSchema, type Token } from "../../gen/pulse/v1/token_service_pb.js";
import { inUrl } from "../lib/host.js";
import { byteText, rateText } from "./byte-text.js";
import { enumWord } from "./options.js";
import { cell, stateCell } from "./output.js";
import { renderTable } from "./table.js";

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

/** What the table of download clients shows beside what it always does. */
interface ClientColumns {
  readonly showCredentials?: boolean;
  /** In the place of where a client is and who says so: how busy it is. */
  readonly showLoad?: boolean;
}

type ClientColumn = readonly [head: string, cellOf: (entry: DownloadClient) => string];

/** The table of `pulse clients list`. As a rule it fits into 120 columns: what says the same twice is left out. */
export function downloadClientsTable(
  entries: readonly DownloadClient[],
  { showCredentials = false, showLoad = false }: ClientColumns = {},
): string {
  const columns: readonly ClientColumn[] = [
    ["NAME", ({ name }) => cell(name)],
    ["KIND", ({ kind }) => cell(kind)],
    ...(showLoad ? [] : PLACE_COLUMNS),
    ["AVAILABILITY", (entry) => availabilityCells(entry)[0]],
    ["REASON", (entry) => availabilityCells(entry)[1]],
    ...(showLoad ? [] : [SOURCE_COLUMN]),
    ["PRIO", ({ enabled, priority }) => (enabled ? String(priority) : "off")],
    ...(showLoad ? LOAD_COLUMNS : []),
    ...(showCredentials ? CREDENTIAL_COLUMNS : [CREDENTIAL_STATE_COLUMN]),
  ];
  return renderTable(
    columns.map(([head]) => head),
    entries.map((entry) => columns.map(([, cellOf]) => cellOf(entry))),
    "No download clients.",
  );
}

const PLACE_COLUMNS: readonly ClientColumn[] = [
  ["PROTOCOL", ({ protocol }) => enumWord(ProtocolSchema, protocol)],
  ["ADDRESS", (entry) => cell(addressOf(entry))],
];
const SOURCE_COLUMN: ClientColumn = ["SOURCE", (entry) => sourceCell(entry)];
const LOAD_COLUMNS: readonly ClientColumn[] = [
  ["FREE", ({ load }) => amountCell(load?.freeBytes, byteText)],
  ["ACTIVE", ({ load }) => amountCell(load?.active, String)],
  ["QUEUED", ({ load }) => amountCell(load?.queued, String)],
  ["DOWNLOAD", ({ load }) => amountCell(load?.downloadBytesPerSecond, rateText)],
];
const CREDENTIAL_COLUMNS: readonly ClientColumn[] = [
  ["USERNAME", ({ username }) => cell(username)],
  ["PASSWORD", ({ password }) => cell(password)],
];
const CREDENTIAL_STATE_COLUMN: ClientColumn = ["CREDENTIALS", (entry) => credentialCell(entry)];

/** What is not known is not nothing. */
function amountCell(
  amount: bigint | number | undefined,
  textOf: (amount: number) => string,
): string {
  return amount === undefined ? "-" : textOf(Number(amount));
}

/**
 * The table of `pulse token list`.
 * @param at wall-clock ms by which a token has expired
 */
export function tokensTable(tokens: readonly Token[], at: number): string {
  return renderTable(
    ["ID", "NAME", "SCOPES", "STATE", "EXPIRES", "USES", "LAST USED", "CREATED"],
    tokens.map((token) => [
      cell(token.id),
      cell(token.name),
      token.scopes.map((scope) => enumWord(ScopeSchema, scope)).join(", "),
      stateCell(tokenState(token, at)),
      timeCell(token.expireTime),
      usesCell(token),
      timeCell(token.lastUsedTime),
      timeCell(token.createTime),
    ]),
    "No tokens.",
  );
}

/** `spent`: only those who have joined with it may do so again. */
function tokenState({ revokeTime, expireTime, maxUses, uses }: Token, at: number): string {
  if (revokeTime) return "revoked";
  if (expireTime && timestampMs(expireTime) <= at) return "expired";
  return maxUses > 0 && uses >= maxUses ? "spent" : "valid";
}

function usesCell({ scopes, uses, maxUses }: Token): string {
  if (!scopes.includes(Scope.JOIN)) return "-";
  return maxUses === 0 ? String(uses) : `${uses} of ${maxUses}`;
}

export function addressOf(entry: DownloadClient): string {
  return `${entry.useSsl ? "https" : "http"}://${inUrl(entry.host)}:${entry.port}${entry.urlBase}`;
}

/** An instant to the second, in UTC. */
export function timeCell(time: Timestamp | undefined): string {
  return time ? timeText(timestampDate(time)) : "-";
}

export function timeText(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}

/** Whether it can be used, and why, or since when it cannot. */
function availabilityCells(entry: DownloadClient): [string, string] {
  if (entry.deleteTime) return [stateCell("deleted"), timeCell(entry.deleteTime)];
  if (entry.hidden) return [stateCell("away"), awayReason(entry)];
  return [
    stateCell(enumWord(AvailabilitySchema, entry.availability)),
    // That it was made by hand is said by SOURCE.
    entry.source === Source.MANUAL ? "not watched" : cell(entry.availabilityReason),
  ];
}

/** A service that was removed is offline; one that is well has become something else. */
function awayReason({ availability, availabilityReason }: DownloadClient): string {
  return availability === Availability.OFFLINE
    ? cell(availabilityReason)
    : "service of another type";
}

function sourceCell(entry: DownloadClient): string {
  return entry.overrides ? "overridden" : enumWord(SourceSchema, entry.source);
}

function credentialCell(entry: DownloadClient): string {
  return stateCell(credentialWord(entry, entry.credentialState));
}

/** That there are credentials, in what is known of them; not what they are. */
export function credentialWord(
  { authScheme }: DownloadClient,
  state: DownloadClient["credentialState"],
): string {
  return authScheme === AuthScheme.NONE ? "none" : enumWord(CredentialStateSchema, state);
}
