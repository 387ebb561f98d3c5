import { Command, Option } from "commander";
import { CreateDownloadClientResponseSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import { hideCredentials } from "./credential-hiding.js";
import { addEntryOptions, type EntryOptions, readEntryOptions } from "./entry-options.js";
import { UsageError } from "./failure.js";
import { jsonOption, parseName, showCredentialsOption } from "./options.js";
import { cell, print, printJson } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { addressOf } from "./tables.js";

/** Prefix of the variables that may hold the new client's secret. */
const VARIABLES = "PULSE_CLIENT";

interface AddOptions extends EntryOptions {
  readonly name: string;
  readonly disabled?: boolean;
  readonly showCredentials?: boolean;
  readonly json?: boolean;
}

/** `pulse clients add` */
export function addCommand(): Command {
  const command = addCallOptions(new Command("add"))
    .description("add a download client by hand, which no service registers")
    .addOption(
      new Option("--name <name>", "name for people, which no other has")
        .argParser(parseName)
        .makeOptionMandatory(),
    );
  return addEntryOptions(command, VARIABLES)
    .option("--disabled", "managers are not to use it yet")
    .addOption(showCredentialsOption())
    .addOption(jsonOption())
    .action(add);
}

async function add(options: AddOptions, command: Command): Promise<void> {
  const { name, disabled = false } = options;
  if (options.kind === undefined || options.url === undefined)
    throw new UsageError("give --kind and --url: say what the download client is, and where");
  const { address, ...fields } = await readEntryOptions(options, command, VARIABLES);
  const response = await callPulse(command, ["admin"], ({ downloadClients }) =>
    downloadClients.createDownloadClient({
      downloadClient: { name, ...fields, ...address },
      disabled,
    }),
  );
  const { downloadClient: entry } = response;
  if (options.json) {
    if (!options.showCredentials) hideCredentials([entry]);
    printJson(CreateDownloadClientResponseSchema, response);
  } else if (entry) print(`Added ${cell(entry.name)} at ${cell(addressOf(entry))}.`);
}
