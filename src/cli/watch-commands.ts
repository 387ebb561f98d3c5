import { Command } from "commander";
import { AvailabilitySchema, type DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import {
  type WatchDownloadClientsResponse,
  WatchDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { WatchServicesResponseSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { type Service, ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import {
  streamDownloadClientResponses,
  streamServiceResponses,
  watchDownloadClients,
  watchServices,
} from "../client/index.js";
import { hideCredentials } from "./credential-hiding.js";
import {
  addEntryFilter,
  addServiceFilter,
  type EntryFilterOptions,
  entryFilterOf,
  type ServiceFilterOptions,
  serviceFilterOf,
} from "./filter-options.js";
import { enumWord, jsonOption, showCredentialsOption } from "./options.js";
import { cell, print, printJsonLine } from "./output.js";
import { addCallOptions } from "./pulse-call.js";
import { watchPulse } from "./pulse-watch.js";
import { addressOf, downloadClientsTable, servicesTable } from "./tables.js";
import { printResponses } from "./watch-json.js";
import { type ItemView, printChanges } from "./watch-lines.js";

const JSON_DESCRIPTION = "print each response as a JSON object in a line of its own";

/** `pulse services watch` */
export function watchServicesCommand(): Command {
  return addServiceFilter(addCallOptions(new Command("watch")))
    .description("show services, and each change as it happens, until Ctrl-C")
    .addOption(jsonOption(JSON_DESCRIPTION))
    .action((filterOptions: ServiceFilterOptions & { json?: boolean }, command: Command) =>
      watchPulse(command, (target) => {
        const options = { ...target.options, filter: serviceFilterOf(filterOptions) };
        return filterOptions.json
          ? printResponses(streamServiceResponses(options), target, (response) =>
              printJsonLine(WatchServicesResponseSchema, response),
            )
          : printChanges(watchServices(options), target, SERVICE_VIEW, print);
      }),
    );
}

interface WatchClientsOptions extends EntryFilterOptions {
  readonly showCredentials?: boolean;
  readonly json?: boolean;
}

/** `pulse clients watch` */
export function watchClientsCommand(): Command {
  return addEntryFilter(addCallOptions(new Command("watch")))
    .description("show download clients, and each change as it happens, until Ctrl-C")
    .addOption(showCredentialsOption())
    .addOption(jsonOption(JSON_DESCRIPTION))
    .action((given: WatchClientsOptions, command: Command) =>
      watchPulse(command, (target) => {
        const options = { ...target.options, filter: entryFilterOf(given) };
        const show = given.showCredentials ?? false;
        return given.json
          ? printResponses(streamDownloadClientResponses(options), target, (response) => {
              if (!show) hideCredentials(entriesOf(response));
              printJsonLine(WatchDownloadClientsResponseSchema, response);
            })
          : printChanges(watchDownloadClients(options), target, entryView(show), print);
      }),
    );
}

function entriesOf({ event }: WatchDownloadClientsResponse): (DownloadClient | undefined)[] {
  if (event.case === "snapshot") return event.value.downloadClients;
  return event.case === "change" ? [event.value.downloadClient] : [];
}

const SERVICE_VIEW: ItemView<Service> = {
  table: (services) => servicesTable(services, true),
  head: ["NAME", "TYPE", "KIND", "URL"],
  cells: ({ spec }) =>
    [spec?.name, spec?.type, spec?.kind, spec?.apiUrl].map((text = "") => cell(text)),
  stateHead: "STATUS",
  stateOf: ({ status, statusReason }) => ({
    state: enumWord(ServiceStatusSchema, status),
    reason: statusReason,
  }),
};

function entryView(showCredentials: boolean): ItemView<DownloadClient> {
  return {
    table: (entries) => downloadClientsTable(entries, { showCredentials }),
    head: ["NAME", "KIND", "ADDRESS", ...(showCredentials ? ["USERNAME", "PASSWORD"] : [])],
    cells: (entry) => [
      cell(entry.name),
      cell(entry.kind),
      cell(addressOf(entry)),
      ...(showCredentials ? [cell(entry.username), cell(entry.password)] : []),
    ],
    stateHead: "AVAILABILITY",
    stateOf: ({ availability, availabilityReason }) => ({
      state: enumWord(AvailabilitySchema, availability),
      reason: availabilityReason,
    }),
  };
}
