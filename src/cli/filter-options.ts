import { type Command, Option } from "commander";
import {
  AvailabilitySchema,
  CredentialStateSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import { ProtocolSchema } from "../../gen/pulse/v1/protocol_pb.js";
import { ServiceStatusSchema } from "../../gen/pulse/v1/service_pb.js";
import type { DownloadClientFilter, ServiceFilter } from "../client/index.js";
import { enumOption } from "./options.js";

// What lists and watches have in common: which services or download clients are meant.

export interface ServiceFilterOptions {
  readonly type?: string;
  readonly capability?: NonNullable<ServiceFilter["capabilities"]>;
  readonly status?: NonNullable<ServiceFilter["statuses"]>;
}

export function addServiceFilter(command: Command): Command {
  return command
    .option("--type <type>", "only this type, such as download-client")
    .option("--capability <capability...>", "only services that have all of these")
    .addOption(enumOption("status", "only these statuses", ServiceStatusSchema));
}

export function serviceFilterOf(options: ServiceFilterOptions): ServiceFilter {
  const { type, capability, status } = options;
  return {
    ...(type ? { type } : {}),
    ...(capability ? { capabilities: capability } : {}),
    ...(status ? { statuses: status } : {}),
  };
}

export interface EntryFilterOptions {
  readonly protocol?: NonNullable<DownloadClientFilter["protocol"]>;
  readonly kind?: NonNullable<DownloadClientFilter["kinds"]>;
  readonly availability?: NonNullable<DownloadClientFilter["availabilities"]>;
  readonly credentialState?: NonNullable<DownloadClientFilter["credentialStates"]>;
  readonly enabled?: "true" | "false";
}

export function addEntryFilter(command: Command): Command {
  return command
    .addOption(enumOption("protocol", "only this protocol", ProtocolSchema, "single"))
    .option("--kind <kind...>", "only these kinds, such as qbittorrent")
    .addOption(enumOption("availability", "only these availabilities", AvailabilitySchema))
    .addOption(
      enumOption(
        "credential-state",
        "only those of whose credentials this is known",
        CredentialStateSchema,
      ),
    )
    .addOption(
      new Option("--enabled <yes>", "only those that are enabled, or are not").choices([
        "true",
        "false",
      ]),
    );
}

export function entryFilterOf(options: EntryFilterOptions): DownloadClientFilter {
  const { protocol, kind, availability, credentialState, enabled } = options;
  return {
    ...(protocol ? { protocol } : {}),
    ...(kind ? { kinds: kind } : {}),
    ...(availability ? { availabilities: availability } : {}),
    ...(credentialState ? { credentialStates: credentialState } : {}),
    ...(enabled ? { enabled: enabled === "true" } : {}),
  };
}
