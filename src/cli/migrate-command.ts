import { join } from "node:path";
import { Command, Option } from "commander";
import type { Move } from "../pulse/move.js";
import { UsageError } from "./failure.js";
import { jsonOption, pulseDataOption } from "./options.js";
import { cell, print } from "./output.js";
import { pulseDataDirectory } from "./places.js";
import { createScreen } from "./screen.js";
import { renderTable } from "./table.js";

interface MigrateOptions {
  readonly to: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** What the nodes on the new database need. */
interface NodeNeeds {
  /** Where the secret key is. */
  readonly secretKey: { readonly file: string } | { readonly variable: string };
  /** Their database, without a password. */
  readonly database: string;
  readonly dataDirectory: string;
}

/** `pulse migrate`: from the database in the data directory to one that several Pulses may share. */
export function migrateCommand(): Command {
  return new Command("migrate")
    .description("copy the registry of a Pulse that is stopped to PostgreSQL")
    .addOption(
      // Not PULSE_DATABASE: what Pulse runs with must not become the target of a copy by itself.
      new Option("--to <url>", "postgres://… of an empty database")
        .env("PULSE_MIGRATE_TO")
        .makeOptionMandatory(),
    )
    .addOption(pulseDataOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nThe data directory stays as it is. Everybody on this host can read the arguments of a program: a password is better given in PGPASSWORD, ~/.pgpass, or with the URL in PULSE_MIGRATE_TO. PULSE_SECRET_KEY must be set if it is set for Pulse.",
    )
    .action(async ({ to, data, json = false }: MigrateOptions) => {
      const { env } = process;
      process.title = "pulse migrate"; // as `pulse serve` does
      const needs: NodeNeeds = {
        database: withoutPassword(to),
        dataDirectory: pulseDataDirectory(data, env),
        secretKey: env.PULSE_SECRET_KEY
          ? { variable: "PULSE_SECRET_KEY" }
          : { file: join(pulseDataDirectory(data, env), "secret.key") },
      };
      const { moveToPostgres } = await import("../pulse/move.js"); // the other commands need no database
      const move = await moveToPostgres({
        database: to,
        dataDirectory: needs.dataDirectory,
        ...(env.PULSE_SECRET_KEY ? { secretKey: env.PULSE_SECRET_KEY } : {}),
        ...(process.stderr.isTTY && { onProgress: progressOn(process.stderr) }),
      });
      print(json ? JSON.stringify(moveJson(move, needs), null, 2) : moveText(move, needs));
    });
}

/** @throws UsageError without a word of what was given, which may hold a password. */
export function withoutPassword(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^postgres(ql)?:$/.test(url.protocol))
    throw new UsageError("--to must be a URL such as postgres://user@host:5432/pulse");
  url.password = "";
  url.searchParams.delete("password");
  return url.href;
}

function progressOn(terminal: NodeJS.WriteStream): (written: number, total: number) => void {
  const screen = createScreen(terminal);
  return (written, total) => screen.show(`${written} of ${total} rows`);
}

export function moveJson(move: Move, needs: NodeNeeds): object {
  const { result } = move;
  return {
    database: move.database,
    result: result.kind,
    epoch: move.epoch,
    revision: String(move.revision),
    ...(result.kind === "found-in-use"
      ? { databaseRevision: String(result.revision) }
      : { tables: result.tables }),
    secretKey: needs.secretKey,
    nodeCommand: nodeCommand(needs),
  };
}

export function moveText(move: Move, needs: NodeNeeds): string {
  return [sayResult(move), "", sayNeeds(needs)].join("\n");
}

function sayResult({ database, revision, result }: Move): string {
  const where = cell(database);
  if (result.kind === "found-in-use")
    return `${where} has this registry already, and it has been used since: it stands at revision ${result.revision}, the data directory at ${revision}. Nothing was copied.`;
  const table = renderTable(
    ["TABLE", "HERE", "THERE", "ALIKE"],
    result.tables.map(({ name, source, target, equal }) => [
      name,
      ...[source, target, equal].map(String),
    ]),
    "",
  );
  const sentence =
    result.kind === "copied"
      ? `Copied the registry, at revision ${revision}, to ${where}.`
      : `${where} has the whole registry already, at revision ${revision}. Nothing was copied.`;
  return `${table}\n\n${sentence}`;
}

function sayNeeds(needs: NodeNeeds): string {
  const { secretKey } = needs;
  const key =
    "file" in secretKey
      ? `what is in ${cell(secretKey.file)}, as that file in their data directories or in PULSE_SECRET_KEY`
      : `${secretKey.variable} as it is set here`;
  return [
    `Every node needs the same secret key: ${key}.`,
    "Start each with its own data directory, this one being good for the first, and the",
    "password in PGPASSWORD or ~/.pgpass, or with the whole URL in PULSE_DATABASE:",
    "",
    `  ${nodeCommand(needs)}`,
    "",
    "Start no Pulse without --database on this directory any more: it would go on by itself.",
  ].join("\n");
}

function nodeCommand({ database, dataDirectory }: NodeNeeds): string {
  return `pulse serve --database ${quoted(database)} --data ${quoted(dataDirectory)}`;
}

/** For a shell, and for a terminal. */
function quoted(text: string): string {
  const shown = cell(text);
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
}
