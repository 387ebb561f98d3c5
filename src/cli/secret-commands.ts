import { Command } from "commander";
import {
  type RotateSecretsResponse,
  RotateSecretsResponseSchema,
} from "../../gen/pulse/v1/secret_service_pb.js";
import { jsonOption } from "./options.js";
import { cell, print, printJson } from "./output.js";
import { commandGroup } from "./program.js";
import { addCallOptions, callPulse } from "./pulse-call.js";

/** A large registry has a hundred thousand of them. */
const PATIENCE_MS = 600_000;

export function secretsCommand(): Command {
  return commandGroup("secrets", "the key that encrypts what Pulse stores", [rotateCommand()]);
}

function rotateCommand(): Command {
  return addCallOptions(new Command("rotate"))
    .description("encrypt all stored passwords and API keys with a new key, while Pulse runs")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nA Pulse with a key file of its own makes the new key. Where you give the keys (PULSE_SECRET_KEY), or several Pulses share a database, start them with the new key and the old one first, a comma between. Backups made before still need the old key.",
    )
    .action(async (options: { json?: boolean }, command: Command) => {
      const rotation = await callPulse(
        command,
        ["admin"],
        (pulse) => pulse.secrets.rotateSecrets({}),
        PATIENCE_MS,
      );
      if (options.json) printJson(RotateSecretsResponseSchema, rotation);
      else print(rotationText(rotation));
    });
}

export function rotationText({ keyId, reencrypted, retiredKeyIds }: RotateSecretsResponse): string {
  const done = `Everything is encrypted with the key ${cell(keyId)} now; ${reencrypted} stored secrets were encrypted anew.`;
  if (retiredKeyIds.length === 0) return done;
  const keys = `${retiredKeyIds.length === 1 ? "the key" : "the keys"} ${retiredKeyIds.map(cell).join(", ")}`;
  return `${done}\nNothing but older backups needs ${keys} any more: if you give Pulse its keys yourself, take ${retiredKeyIds.length === 1 ? "it" : "them"} away from every Pulse.`;
}
