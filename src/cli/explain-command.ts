import { Command } from "commander";
import { ExplainServiceResponseSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { jsonOption } from "./options.js";
import { noteIfStale, print, printJson } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { timelineText } from "./timeline-text.js";

/** `pulse services explain` */
export function explainCommand(): Command {
  return addCallOptions(new Command("explain"))
    .description("tell what happened to a service, and how it stands now")
    .argument("<service>", "its name, id or instance id, also of one that was removed")
    .addOption(jsonOption())
    .action(async (service: string, options: { json?: boolean }, command: Command) => {
      const response = await callPulse(command, ["service", "admin"], (pulse) =>
        pulse.registry.explainService({ id: service }),
      );
      noteIfStale(response);
      if (options.json) printJson(ExplainServiceResponseSchema, response);
      else print(timelineText(response));
    });
}
