import { Code, ConnectError } from "@connectrpc/connect";
import { Command } from "commander";
import {
  type ExplainServiceResponse,
  ExplainServiceResponseSchema,
} from "../../gen/pulse/v1/registry_service_pb.js";
import type { PulseConnection } from "../client/index.js";
import { listServices } from "./lists.js";
import { findItem } from "./lookup.js";
import { jsonOption } from "./options.js";
import { print, printJson } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { timelineText } from "./timeline-text.js";

/** `pulse services explain` */
export function explainCommand(): Command {
  return addCallOptions(new Command("explain"))
    .description("tell what happened to a service, and how it stands now")
    .argument("<service>", "its id or instance id, or its name if no other has it")
    .addOption(jsonOption())
    .action(async (service: string, options: { json?: boolean }, command: Command) => {
      const response = await callPulse(command, ["service", "admin"], (pulse) =>
        explain(pulse, service),
      );
      if (options.json) printJson(ExplainServiceResponseSchema, response);
      else print(timelineText(response));
    });
}

/** Ids go first: one that is removed is in no list, and has a timeline. */
async function explain(pulse: PulseConnection, text: string): Promise<ExplainServiceResponse> {
  try {
    return await pulse.registry.explainService({ id: text });
  } catch (error) {
    if (ConnectError.from(error).code !== Code.NotFound) throw error;
  }
  const { services } = await listServices(pulse);
  const { id } = findItem(services, text, {
    what: "service",
    idsOf: ({ id, instanceId }) => [id, instanceId],
    nameOf: ({ spec }) => spec?.name ?? "",
  });
  return pulse.registry.explainService({ id });
}
