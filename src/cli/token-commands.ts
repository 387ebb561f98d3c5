import { Command } from "commander";
import {
  CreateTokenResponseSchema,
  ListTokensResponseSchema,
  ScopeSchema,
} from "../../gen/pulse/v1/token_service_pb.js";

import { enumNumber, enumOption, enumWord, jsonOption, parseName } from "./options.js";
import { cell, note, noteIfStale, print, printJson } from "./output.js";
import { commandGroup } from "./program.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { tokensTable } from "./tables.js";

interface CreateOptions {
  readonly name: string;
  readonly scope: string[];
  readonly json?: boolean;
}

export function tokenCommand(): Command {
  return commandGroup("token", "tokens with which services and people call Pulse", [
    createCommand(),
    listCommand(),
    revokeCommand(),
  ]);
}

function createCommand(): Command {
  return addCallOptions(new Command("create"))
    .description("make a token and print it, this once")
    .requiredOption("--name <name>", "what it is for", parseName)
    .addOption(enumOption("scope", "what it may do", ScopeSchema).makeOptionMandatory())
    .addOption(jsonOption())
    .action(async (options: CreateOptions, command: Command) => {
      const created = await callPulse(command, ["admin"], (pulse) =>
        pulse.tokens.createToken({
          name: options.name,
          scopes: options.scope.map((word) => enumNumber(ScopeSchema, word)),
        }),
      );
      if (options.json) return printJson(CreateTokenResponseSchema, created);
      const scopes = created.scopes.map((scope) => enumWord(ScopeSchema, scope)).join(", ");
      note(
        `Token ${cell(created.name)} (id ${cell(created.id)}, scopes ${scopes}). It is shown only now:`,
      );
      print(created.token);
    });
}

function listCommand(): Command {
  return addCallOptions(new Command("list"))
    .description("list tokens, revoked ones too, without their secrets")
    .addOption(jsonOption())
    .action(async (options: { json?: boolean }, command: Command) => {
      const list = await callPulse(command, ["admin"], (pulse) => pulse.tokens.listTokens({}));
      noteIfStale(list);
      if (options.json) printJson(ListTokensResponseSchema, list);
      else print(tokensTable(list.tokens));
    });
}

function revokeCommand(): Command {
  return addCallOptions(new Command("revoke"))
    .description("end a token at once")
    .argument("<id>", "its id, from `pulse token list`")
    .action(async (id: string, _options: object, command: Command) => {
      const { token } = await callPulse(command, ["admin"], (pulse) =>
        pulse.tokens.revokeToken({ id }),
      );
      print(`Revoked ${cell(token?.name ?? "")} (id ${cell(id)}).`);
    });
}
