import { Command } from "commander";
import { probeFrontedClient } from "../haul/index.js";
import { addClientOptions, readClient } from "./client-options.js";
import { UsageError } from "./failure.js";
import { jsonOption } from "./options.js";
import { print } from "./output.js";
import { probeText } from "./probe-text.js";

/** `haul probe`: asks the download client once. */
export function probeCommand(): Command {
  return addClientOptions(new Command("probe"))
    .description("ask the download client once, with these credentials, and print what it says")
    .addOption(jsonOption())
    .action(async ({ json }: { readonly json?: boolean }, command: Command) => {
      const client = await readClient(command);
      if (!client)
        throw new UsageError("give --kind and --url: say what the download client is, and where");
      const probe = await probeFrontedClient(client);
      print(json ? JSON.stringify(probe, null, 2) : probeText(client, probe));
      if (probe.outcome !== "ok") process.exitCode = 1;
    });
}
