import type { JsonObject } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { type Protocol, ProtocolSchema } from "../../gen/pulse/v1/protocol_pb.js";
import type { PathMapping } from "../client/index.js";
import { hostOf } from "../lib/host.js";
import { addSecretOptions, readSecret } from "./credential-options.js";
import { UsageError } from "./failure.js";
import { readGivenFile } from "./given-file.js";
import {
  enumNumber,
  enumOption,
  parseApiUrl,
  parsePathMapping,
  parseWholeNumber,
} from "./options.js";

/** Where a download client is, as the fields of an entry say it. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly useSsl: boolean;
  readonly urlBase: string;
}

/** What was said of an entry; what is absent was not. */
export interface EntryInput {
  readonly kind?: string;
  readonly protocol?: Protocol;
  readonly address?: Address;
  readonly username?: string;
  readonly password?: string;
  readonly priority?: number;
  readonly category?: string;
  readonly directory?: string;
  readonly tags?: string[];
  readonly settings?: JsonObject;
  readonly downloadDirectory?: string;
  readonly pathMappings?: PathMapping[];
}

export interface EntryOptions {
  readonly kind?: string;
  readonly url?: string;
  readonly protocol?: string;
  readonly username?: string;
  readonly priority?: number;
  readonly category?: string;
  readonly directory?: string;
  readonly tag?: string[];
  readonly settings?: string;
  readonly downloadDirectory?: string;
  readonly pathMapping?: PathMapping[];
}

/**
 * Adds the options that describe an entry, all but its name.
 * @param variables prefix of those that may hold the secret; undefined: none
 */
export function addEntryOptions(command: Command, variables?: string): Command {
  command
    .addOption(new Option("--kind <kind>", "what the download client is, such as qbittorrent"))
    .addOption(
      new Option("--url <url>", "where it is, such as http://192.168.1.10:8080").argParser(
        parseApiUrl,
      ),
    )
    .addOption(
      enumOption(
        "protocol",
        "what it fetches, for a kind that Pulse does not know",
        ProtocolSchema,
        "single",
      ),
    )
    .option("--username <name>", "user to log in as");
  return addSecretOptions(command, variables)
    .addOption(
      new Option("--priority <number>", "managers prefer the lowest, 1 to 100").argParser(
        parseWholeNumber(1, 100),
      ),
    )
    .option("--category <category>", "category that managers give their downloads")
    .option("--directory <directory>", "where managers download to, as the client sees it")
    .addOption(
      new Option("--tag <tag>", "word to choose by; may be given again").argParser(
        (text, tags: string[] = []) => [...tags, text],
      ),
    )
    .option("--settings <json>", "anything else managers need, as a JSON object, or @FILE with it")
    .option(
      "--download-directory <path>",
      "where the client puts what it has fetched, as it sees that itself",
    )
    .addOption(
      new Option(
        "--path-mapping <client=manager>",
        "a directory as the client sees it, and as managers do, such as /downloads=/data/downloads; may be given again",
      ).argParser(parsePathMapping),
    );
}

/** What the options say, with files and variables read; `variables` as in `addEntryOptions`. */
export async function readEntryOptions(
  options: EntryOptions,
  command: Command,
  variables?: string,
): Promise<EntryInput> {
  const { kind, url, protocol, username, priority, category, directory, tag, settings } = options;
  const { downloadDirectory, pathMapping: pathMappings } = options;
  const password = await readSecret(command, variables);
  return {
    ...(kind !== undefined && { kind }),
    ...(url !== undefined && { address: readAddress(url) }),
    ...(protocol !== undefined && { protocol: enumNumber(ProtocolSchema, protocol) }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(priority !== undefined && { priority }),
    ...(category !== undefined && { category }),
    ...(directory !== undefined && { directory }),
    ...(tag !== undefined && { tags: tag }),
    ...(settings !== undefined && { settings: await readSettings(settings) }),
    ...(downloadDirectory !== undefined && { downloadDirectory }),
    ...(pathMappings !== undefined && { pathMappings }),
  };
}

/** Takes a URL apart that `parseApiUrl` has let pass. */
export function readAddress(text: string): Address {
  const url = new URL(text);
  const useSsl = url.protocol === "https:";
  return {
    host: hostOf(url),
    port: url.port === "" ? (useSsl ? 443 : 80) : Number(url.port),
    useSsl,
    urlBase: url.pathname.replace(/\/+$/, ""),
  };
}

/** The JSON object of a text, or of the file that `@` names. Its content is not repeated in an error. */
export async function readSettings(text: string): Promise<JsonObject> {
  const path = text.startsWith("@") ? text.slice(1) : undefined;
  const json = path === undefined ? text : await readGivenFile(path);
  const settings = parseObject(json);
  if (settings) return settings;
  const where = path === undefined ? "--settings" : path;
  throw new UsageError(`${where} is not a JSON object: give one such as {"seedRatio": 2}`);
}

function parseObject(json: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as JsonObject)
      : undefined;
  } catch {
    return undefined;
  }
}
