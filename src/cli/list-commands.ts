import { Command } from "commander";
import {
  AvailabilitySchema,
  CredentialStateSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import {
  DownloadClientOrderSchema,
  ListDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { ProtocolSchema } from "../../gen/pulse/v1/protocol_pb.js";
import { ListServicesResponseSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import { hideCredentials } from "./credential-hiding.js";
import {
  addEntryFilter,
  addServiceFilter,
  type EntryFilterOptions,
  entryFilterOf,
  type ServiceFilterOptions,
  serviceFilterOf,
} from "./filter-options.js";
import { listDownloadClients, listServices } from "./lists.js";
import { enumNumber, enumOption, jsonOption, showCredentialsOption } from "./options.js";
import { noteIfStale, print, printJson } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { downloadClientsTable, servicesTable } from "./tables.js";

/** `pulse services list` */
export function listServicesCommand(): Command {
  return addServiceFilter(addCallOptions(new Command("list")))
    .description("list services, offline ones too")
    .addOption(jsonOption())
    .action(async (options: ServiceFilterOptions & { json?: boolean }, command: Command) => {
      const { statuses = [], capabilities = [], ...filter } = serviceFilterOf(options);
      const response = await callPulse(command, ["service", "admin"], (pulse) =>
        listServices(pulse, {
          ...filter,
          capabilities: [...capabilities],
          statuses: statuses.map((word) => enumNumber(ServiceStatusSchema, word)),
        }),
      );
      noteIfStale(response);
      if (options.json) printJson(ListServicesResponseSchema, response);
      else print(servicesTable(response.services, true));
    });
}

interface ListClientsOptions extends EntryFilterOptions {
  readonly order?: "name" | "free-space" | "load";
  readonly load?: boolean;
  readonly deleted?: boolean;
  readonly showCredentials?: boolean;
  readonly json?: boolean;
}

/** `pulse clients list` */
export function listClientsCommand(): Command {
  return addEntryFilter(addCallOptions(new Command("list")))
    .description("list download clients, offline ones too")
    .addOption(
      enumOption(
        "order",
        "which comes first: by name, the most free space, or the fewest downloads",
        DownloadClientOrderSchema,
        "single",
      ),
    )
    .option(
      "--load",
      "show free space and load instead of address, protocol and source; so do the orders by them",
    )
    .option("--deleted", "also those that are hidden: deleted, or their service is away")
    .addOption(showCredentialsOption())
    .addOption(jsonOption())
    .action(async (options: ListClientsOptions, command: Command) => {
      const {
        protocol,
        kinds = [],
        availabilities = [],
        credentialStates = [],
        ...filter
      } = entryFilterOf(options);
      const { order = "name", deleted = false, json = false } = options;
      const showCredentials = options.showCredentials ?? false;
      const response = await callPulse(command, ["service", "admin"], (pulse) =>
        listDownloadClients(pulse, {
          ...filter,
          protocol: enumNumber(ProtocolSchema, protocol),
          kinds: [...kinds],
          availabilities: availabilities.map((word) => enumNumber(AvailabilitySchema, word)),
          credentialStates: credentialStates.map((word) => enumNumber(CredentialStateSchema, word)),
          order: enumNumber(DownloadClientOrderSchema, order),
          showDeleted: deleted,
        }),
      );
      noteIfStale(response);
      const showLoad = options.load === true || order !== "name";
      if (!json)
        return print(downloadClientsTable(response.downloadClients, { showCredentials, showLoad }));
      if (!showCredentials) hideCredentials(response.downloadClients);
      printJson(ListDownloadClientsResponseSchema, response);
    });
}
