import { Code, ConnectError } from "@connectrpc/connect";
import { Command, InvalidArgumentError, Option } from "commander";
import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import {
  type UpdateDownloadClientResponse,
  UpdateDownloadClientResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import type { PulseConnection } from "../client/index.js";
import { hideCredentials } from "./credential-hiding.js";
import {
  CLEARABLE,
  type Clearable,
  checkEdit,
  type EditInput,
  type EntryEdit,
  entryEdit,
} from "./entry-edit.js";
import { findEntry } from "./entry-lookup.js";
import { addEntryOptions, type EntryOptions, readEntryOptions } from "./entry-options.js";
import { CommandError } from "./failure.js";
import { jsonOption, parseName, showCredentialsOption } from "./options.js";
import { cell, print, printJson } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";

interface EditOptions extends EntryOptions {
  readonly newName?: string;
  readonly enable?: boolean;
  readonly disable?: boolean;
  readonly clear?: readonly Clearable[];
  readonly showCredentials?: boolean;
  readonly json?: boolean;
}

/** `pulse clients edit` */
export function editCommand(): Command {
  const command = addCallOptions(new Command("edit"))
    .description(
      "change a download client; what a registered one says of itself is overridden, not lost",
    )
    .argument("<client>", "its name or id")
    .addOption(new Option("--new-name <name>", "another name").argParser(parseName))
    .addOption(new Option("--enable", "managers are to use it").conflicts("disable"))
    .option("--disable", "managers are not to use it");
  // Without variables: one that was exported for `add` would overwrite what is edited later.
  return addEntryOptions(command)
    .addOption(
      new Option(
        "--clear <fields>",
        "make empty, several with commas; url, username and password of a registered one are its own again",
      )
        .choices(CLEARABLE)
        .argParser(parseClearable),
    )
    .addOption(showCredentialsOption())
    .addOption(jsonOption())
    .action(edit);
}

function parseClearable(text: string, before: readonly Clearable[] = []): readonly Clearable[] {
  const fields = text.split(",").map((word) => {
    const field = CLEARABLE.find((known) => known === word.trim());
    if (field) return field;
    throw new InvalidArgumentError(`Allowed choices are ${CLEARABLE.join(", ")}.`);
  });
  return [...before, ...fields];
}

async function edit(client: string, options: EditOptions, command: Command): Promise<void> {
  const { newName, enable, disable, clear = [] } = options;
  const input: EditInput = {
    ...(await readEntryOptions(options, command)),
    ...(newName !== undefined && { name: newName }),
    ...((enable || disable) && { enabled: enable === true }),
    clear,
  };
  checkEdit(input);
  const { entry, words, response } = await callPulse(command, ["admin"], (pulse) =>
    editEntry(pulse, client, input),
  );
  if (options.json) {
    if (!options.showCredentials) hideCredentials([response.downloadClient]);
    return printJson(UpdateDownloadClientResponseSchema, response);
  }
  const name = cell(entry.name);
  if (response.downloadClient?.etag === entry.etag) print(`${name} is so already.`);
  else print(`Changed ${name}: ${words.join(", ")}.`);
}

export interface EditOutcome extends Pick<EntryEdit, "words"> {
  /** As it was before. */
  readonly entry: DownloadClient;
  readonly response: UpdateDownloadClientResponse;
}

/**
 * Reads the entry and changes it, unless somebody else does so in between.
 * @throws CommandError: no such entry, or it was changed meanwhile; UsageError: nothing to change
 */
export async function editEntry(
  pulse: PulseConnection,
  client: string,
  input: EditInput,
): Promise<EditOutcome> {
  const entry = await findEntry(pulse, client);
  const { downloadClient, paths, words } = entryEdit(entry, input);
  try {
    const response = await pulse.downloadClients.updateDownloadClient({
      downloadClient,
      updateMask: { paths: [...paths] },
    });
    return { entry, words, response };
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Aborted) throw error;
    throw new CommandError(
      `somebody else changed ${cell(entry.name)} at the same moment, so nothing was done: look at it with "pulse clients list", and edit it again`,
      { cause: error },
    );
  }
}
