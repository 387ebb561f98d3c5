import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Command, Option } from "commander";
import {
  type CreateTokenResponse,
  CreateTokenResponseSchema,
  ListTokensResponseSchema,
  ScopeSchema,
} from "../../gen/pulse/v1/token_service_pb.js";
import { systemClock } from "../lib/clock.js";
import { parseDuration, parseInstant } from "./duration.js";
import { UsageError } from "./failure.js";
import {
  enumNumber,
  enumOption,
  enumWord,
  jsonOption,
  parseName,
  parseWholeNumber,
} from "./options.js";
import { cell, note, noteIfStale, print, printJson } from "./output.js";
import { commandGroup } from "./program.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { timeCell, tokensTable } from "./tables.js";

interface CreateOptions {
  readonly name: string;
  readonly scope: string[];
  readonly expiresIn?: number;
  readonly expiresAt?: number;
  readonly uses?: number;
  readonly json?: boolean;
}

/** As Pulse has it. */
const MAX_USES = 100_000;

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
    .addOption(
      new Option("--expires-in <duration>", "end it by itself after so long, such as 30d or 12h")
        .argParser(parseDuration)
        .conflicts("expiresAt"),
    )
    .addOption(
      new Option(
        "--expires-at <time>",
        "end it by itself then, such as 2030-01-31 or 2030-01-31T18:00:00Z",
      ).argParser(parseInstant),
    )
    .addOption(
      new Option(
        "--uses <count>",
        "with --scope join: how many instances may join with it",
      ).argParser(parseWholeNumber(1, MAX_USES)),
    )
    .addOption(jsonOption())
    .action(async (options: CreateOptions, command: Command) => {
      checkCreate(options);
      const expiresAt =
        options.expiresIn === undefined
          ? options.expiresAt
          : systemClock.wallNow() + options.expiresIn;
      const created = await callPulse(command, ["admin"], (pulse) =>
        pulse.tokens.createToken({
          name: options.name,
          scopes: options.scope.map((word) => enumNumber(ScopeSchema, word)),
          ...(expiresAt === undefined ? {} : { expireTime: timestampFromMs(expiresAt) }),
          ...(options.uses === undefined ? {} : { maxUses: options.uses }),
        }),
      );
      if (options.json) return printJson(CreateTokenResponseSchema, created);
      const scopes = created.scopes.map((scope) => enumWord(ScopeSchema, scope)).join(", ");
      note(
        `Token ${cell(created.name)} (id ${cell(created.id)}, scopes ${scopes}${boundsText(created)}). It is shown only now:`,
      );
      print(created.token);
    });
}

function checkCreate({ scope, uses, expiresIn, expiresAt }: CreateOptions): void {
  const isJoin = scope.includes("join");
  if (isJoin && uses === undefined && expiresIn === undefined && expiresAt === undefined)
    throw new UsageError("a join token must come to an end: give --uses, --expires-in or both");
  if (!isJoin && uses !== undefined)
    throw new UsageError("--uses goes with --scope join alone: use --expires-in");
}

function boundsText({ maxUses, expireTime }: CreateTokenResponse): string {
  const uses = maxUses === 0 ? "" : `, for ${maxUses} ${maxUses === 1 ? "instance" : "instances"}`;
  return `${uses}${expireTime ? `, until ${timeCell(expireTime)}` : ""}`;
}

function listCommand(): Command {
  return addCallOptions(new Command("list"))
    .description("list tokens, those that have ended too, without their secrets")
    .addOption(jsonOption())
    .action(async (options: { json?: boolean }, command: Command) => {
      const list = await callPulse(command, ["admin"], (pulse) => pulse.tokens.listTokens({}));
      noteIfStale(list);
      if (options.json) printJson(ListTokensResponseSchema, list);
      else print(tokensTable(list.tokens, systemClock.wallNow()));
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
