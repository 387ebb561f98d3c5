import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { type ClientSettings, FRONTABLE_KINDS, type FrontedClient } from "../haul/index.js";
import { addSecretOptions, readSecretAndFile } from "./credential-options.js";
import { UsageError } from "./failure.js";
import { parseApiUrl, parsePathMapping } from "./options.js";

/** Prefix of the variables with a download client's credentials. */
const VARIABLES = "HAUL";

interface ClientOptions {
  readonly kind?: FrontedClient["kind"];
  readonly url?: string;
  readonly username?: string;
}

interface FrontOptions {
  readonly advertiseUrl?: string;
  readonly advertiseHost?: string;
  readonly vpnCheck?: string;
  readonly downloadDir?: string;
  readonly pathMapping?: ClientSettings["pathMappings"];
}

/** Adds the options that say which download client it is, and how to log in. */
export function addClientOptions(command: Command): Command {
  command
    .addOption(
      new Option("--kind <kind>", "what the download client is")
        .env("HAUL_KIND")
        .choices(FRONTABLE_KINDS),
    )
    .addOption(
      new Option("--url <url>", "where it is, such as http://127.0.0.1:8080")
        .env("HAUL_URL")
        .argParser(parseApiUrl),
    )
    .addOption(new Option("--username <name>", "user to log in as").env("HAUL_USERNAME"));
  return addSecretOptions(command, VARIABLES);
}

/** Adds the options that say how managers see it. */
export function addFrontOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--advertise-url <url>",
        "URL at which media managers reach the download client; default: --url, or one made from it if that is of this host alone",
      )
        .env("HAUL_ADVERTISE_URL")
        .argParser(parseApiUrl),
    )
    .addOption(
      new Option(
        "--advertise-host <name>",
        "host name or address for that URL alone, such as the name of a VPN container",
      ).env("HAUL_ADVERTISE_HOST"),
    )
    .addOption(
      new Option(
        "--vpn-check <command>",
        "command that fails while the download client's VPN is down; the client is DEGRADED then",
      ).env("HAUL_VPN_CHECK"),
    )
    .addOption(
      new Option(
        "--download-dir <directory>",
        "where the download client puts files, as it sees that; default: what it says; for an aria2 that Haul starts: where it is to put them",
      ).env("HAUL_DOWNLOAD_DIR"),
    )
    .addOption(
      new Option(
        "--path-mapping <client=manager>",
        "how managers see a directory of the download client, such as /downloads=/data/downloads; may be given again",
      )
        .env("HAUL_PATH_MAPPING")
        .argParser(parsePathMapping),
    );
}

/** The download client that the options name, with its credentials read; undefined if they name none. */
export async function readClient(command: Command): Promise<FrontedClient | undefined> {
  const { kind, url, username } = command.opts<ClientOptions>();
  if (kind && !url) throw new UsageError("--kind needs --url: say where the download client is");
  if (url && !kind) throw new UsageError("--url needs --kind: say what the download client is");
  const { secret, file } = await readSecretAndFile(command, VARIABLES);
  if (kind && url)
    return {
      kind,
      url,
      ...(username ? { username } : {}),
      ...(secret ? { secret } : {}),
      ...(file === undefined ? {} : { secretFile: resolve(file) }),
    };
  if (username || secret)
    throw new UsageError("a user name, password or API key needs --kind and --url");
  return undefined;
}

/** The same with all that the options say of it. */
export function settingsOf(client: FrontedClient, name: string, command: Command): ClientSettings {
  const { advertiseUrl, advertiseHost, vpnCheck, downloadDir, pathMapping } =
    command.opts<FrontOptions>();
  return {
    ...client,
    name,
    ...(advertiseUrl !== undefined && { advertiseUrl }),
    ...(advertiseHost !== undefined && { advertiseHost }),
    ...(vpnCheck !== undefined && { vpnCheck }),
    ...(downloadDir !== undefined && { downloadDirectory: downloadDir }),
    ...(pathMapping !== undefined && { pathMappings: pathMapping }),
  };
}
