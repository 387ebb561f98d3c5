import { durationMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { Source } from "../../gen/pulse/v1/download_client_pb.js";
import {
  DeleteDownloadClientResponseSchema,
  RestoreDownloadClientResponseSchema,
  TestDownloadClientResponseSchema,
  TestOutcome,
  TestOutcomeSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { hideCredentials } from "./credential-hiding.js";
import { findEntry } from "./entry-lookup.js";
import { enumWord, jsonOption, showCredentialsOption } from "./options.js";
import { cell, factLines, print, printJson } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { credentialWord } from "./tables.js";

/** Pulse takes up to 15 s to test a download client. */
const TEST_TIMEOUT_MS = 20_000;

interface Options {
  readonly showCredentials?: boolean;
  readonly json?: boolean;
}

/** `pulse clients remove` */
export function removeCommand(): Command {
  return entryCommand("remove")
    .description("remove a download client; a registered one is hidden until it is restored")
    .action(async (client: string, options: Options, command: Command) => {
      const { entry, response } = await callPulse(command, ["admin"], async (pulse) => {
        const entry = await findEntry(pulse, client);
        const { id } = entry;
        return { entry, response: await pulse.downloadClients.deleteDownloadClient({ id }) };
      });
      const name = cell(entry.name);
      if (options.json) printJson(DeleteDownloadClientResponseSchema, response);
      else if (entry.source === Source.MANUAL) print(`Removed ${name} for good.`);
      else
        print(
          `Removed ${name}: it stays hidden, whatever its service does, until "pulse clients restore" brings it back.`,
        );
    });
}

/** `pulse clients restore` */
export function restoreCommand(): Command {
  return entryCommand("restore")
    .description("bring a hidden download client back, with all that was set on it")
    .addOption(showCredentialsOption())
    .action(async (client: string, options: Options, command: Command) => {
      const { entry, response } = await callPulse(command, ["admin"], async (pulse) => {
        const entry = await findEntry(pulse, client);
        const response = await pulse.downloadClients.restoreDownloadClient({ id: entry.id });
        return { entry, response };
      });
      if (options.json) {
        if (!options.showCredentials) hideCredentials([response.downloadClient]);
        return printJson(RestoreDownloadClientResponseSchema, response);
      }
      const name = cell(entry.name);
      const done = entry.deleteTime ? `Restored ${name}.` : `${name} was not removed.`;
      const isAway = response.downloadClient?.hidden;
      print(isAway ? `${done} Managers see it when its service is back.` : done);
    });
}

/** `pulse clients test` */
export function testCommand(): Command {
  return entryCommand("test")
    .description("have Pulse log in to a download client; ends with 0 only if it can be used")
    .action(async (client: string, options: Options, command: Command) => {
      const { entry, test } = await callPulse(
        command,
        ["admin"],
        async (pulse) => {
          const entry = await findEntry(pulse, client);
          const { id } = entry;
          return { entry, test: await pulse.downloadClients.testDownloadClient({ id }) };
        },
        TEST_TIMEOUT_MS,
      );
      if (options.json) printJson(TestDownloadClientResponseSchema, test);
      else
        print(
          factLines([
            ["outcome", enumWord(TestOutcomeSchema, test.outcome)],
            ["says", test.message],
            ["version", test.version || undefined],
            ["credentials", credentialWord(entry, test.credentialState)],
            ["took", test.latency && `${durationMs(test.latency)} ms`],
          ]),
        );
      if (test.outcome !== TestOutcome.OK) process.exitCode = 1;
    });
}

/** A command about one entry. */
function entryCommand(name: string): Command {
  return addCallOptions(new Command(name))
    .argument("<client>", "its name or id")
    .addOption(jsonOption());
}
