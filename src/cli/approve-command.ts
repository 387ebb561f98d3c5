import { Command } from "commander";
import { ApproveServiceResponseSchema } from "../../gen/pulse/v1/registry_service_pb.js";
import { type Service, ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import type { PulseConnection } from "../client/index.js";
import { CommandError } from "./failure.js";
import { jsonOption } from "./options.js";
import { cell, print, printJson } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";

/** `pulse services approve` */
export function approveCommand(): Command {
  return addCallOptions(new Command("approve"))
    .description("let managers see a service that waits, and all that it registers later")
    .argument("<service>", "its name, id or instance id")
    .addOption(jsonOption())
    .action(async (named: string, options: { json?: boolean }, command: Command) => {
      const { before, response } = await callPulse(command, ["admin"], async (pulse) => {
        const before = await findService(pulse, named);
        return { before, response: await pulse.registry.approveService({ id: before.id }) };
      });
      if (options.json) return printJson(ApproveServiceResponseSchema, response);
      const { name = "", apiUrl = "" } = response.service?.spec ?? {};
      const what = apiUrl === "" ? cell(name) : `${cell(name)} at ${cell(apiUrl)}`;
      const waited = before.status === ServiceStatus.PENDING;
      print(waited ? `Approved ${what}.` : `${what} did not wait for approval.`);
    });
}

/** As Pulse finds it for `explain`, if it is registered now. */
async function findService(pulse: PulseConnection, named: string): Promise<Service> {
  const { service } = await pulse.registry.explainService({ id: named });
  if (service) return service;
  throw new CommandError(`${JSON.stringify(named)} is not registered now: nothing waits`);
}
