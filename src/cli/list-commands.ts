import { Command, Option } from "commander";
import { AvailabilitySchema } from "../../gen/pulse/v1/download_client_pb.js";
import { ListDownloadClientsResponseSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import { ProtocolSchema } from "../../gen/pulse/v1/protocol_pb.js";
import { ListServicesResponseSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import {
  downloadClientsTable,
  hideCredentials,
  listDownloadClients,
  listServices,
  servicesTable,
} from "./lists.js";
import { enumNumber, enumOption, jsonOption } from "./options.js";
import { print, printJson } from "./output.js";
import { commandGroup } from "./program.js";
import { addCallOptions, callPulse } from "./pulse-call.js";

interface ServicesOptions {
  readonly type?: string;
  readonly capability?: string[];
  readonly status?: string[];
  readonly json?: boolean;
}

export function servicesCommand(): Command {
  const list = addCallOptions(new Command("list"))
    .description("list services, offline ones too")
    .option("--type <type>", "only this type, such as download-client")
    .option("--capability <capability...>", "only services that have all of these")
    .addOption(enumOption("status", "only these statuses", ServiceStatusSchema))
    .addOption(jsonOption())
    .action(async (options: ServicesOptions, command: Command) => {
      const response = await callPulse(command, ["service", "admin"], (pulse) =>
        listServices(pulse, {
          type: options.type ?? "",
          capabilities: options.capability ?? [],
          statuses: (options.status ?? []).map((word) => enumNumber(ServiceStatusSchema, word)),
        }),
      );
      if (options.json) printJson(ListServicesResponseSchema, response);
      else print(servicesTable(response.services, true));
    });
  return commandGroup("services", "registered services", [list]);
}

interface ClientsOptions {
  readonly protocol?: string;
  readonly kind?: string[];
  readonly availability?: string[];
  readonly enabled?: "true" | "false";
  readonly showCredentials?: boolean;
  readonly json?: boolean;
}

export function clientsCommand(): Command {
  const list = addCallOptions(new Command("list"))
    .description("list download clients, offline ones too")
    .addOption(enumOption("protocol", "only this protocol", ProtocolSchema, "single"))
    .option("--kind <kind...>", "only these kinds, such as qbittorrent")
    .addOption(enumOption("availability", "only these availabilities", AvailabilitySchema))
    .addOption(
      new Option("--enabled <yes>", "only those that are enabled, or are not").choices([
        "true",
        "false",
      ]),
    )
    .option("--show-credentials", "show user names and passwords, which are left out otherwise")
    .addOption(jsonOption())
    .action(async (options: ClientsOptions, command: Command) => {
      const response = await callPulse(command, ["service", "admin"], (pulse) =>
        listDownloadClients(pulse, {
          protocol: enumNumber(ProtocolSchema, options.protocol),
          kinds: options.kind ?? [],
          availabilities: (options.availability ?? []).map((word) =>
            enumNumber(AvailabilitySchema, word),
          ),
          ...(options.enabled ? { enabled: options.enabled === "true" } : {}),
        }),
      );
      const show = options.showCredentials ?? false;
      if (!options.json) return print(downloadClientsTable(response.downloadClients, show));
      if (!show) hideCredentials(response);
      printJson(ListDownloadClientsResponseSchema, response);
    });
  return commandGroup("clients", "download clients", [list]);
}
