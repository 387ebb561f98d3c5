import { resolve } from "node:path";
import { Command, Option } from "commander";
import {
  FRONTABLE_KINDS,
  type FrontedClient,
  probeFrontedClient,
  startHaul,
} from "../haul/index.js";
import type { HostPort } from "../lib/host-port.js";
import { addSecretOptions, readSecretAndFile } from "./credential-options.js";
import { UsageError } from "./failure.js";
import { createLogger } from "./logger.js";
import {
  addSecurityOptions,
  haulDataOption,
  haulNameOption,
  hostPortOption,
  jsonOption,
  type LogLevel,
  logLevelOption,
  parseApiUrl,
  pulseUrlOption,
  tokenFileOption,
} from "./options.js";
import { print } from "./output.js";
import { haulStateDirectory, pulseDataDirectory } from "./places.js";
import { probeText } from "./probe-text.js";
import { findTokenFor } from "./pulse-call.js";
import { targetOf } from "./pulse-target.js";
import { runUntilStopped } from "./run-until-stopped.js";

/** Prefix of the variables with its credentials. */
const VARIABLES = "HAUL";

interface ClientOptions {
  readonly kind?: FrontedClient["kind"];
  readonly url?: string;
  readonly username?: string;
}

interface RunOptions extends ClientOptions {
  readonly name: string;
  readonly advertiseUrl?: string;
  readonly listen: HostPort;
  readonly data?: string;
  readonly downloadDir?: string;
  readonly logLevel: LogLevel;
}

/** `haul run`: registers a download client and keeps it alive, until it is told to stop. */
export function runCommand(): Command {
  const command = addClientOptions(new Command("run"))
    .description(
      "register a download client; with none given, start an aria2 if there is one, or register Haul itself",
    )
    .addOption(pulseUrlOption())
    .addOption(tokenFileOption());
  return addSecurityOptions(command)
    .addOption(haulNameOption())
    .addOption(
      new Option(
        "--advertise-url <url>",
        "URL at which media managers reach the download client, if not --url",
      )
        .env("HAUL_ADVERTISE_URL")
        .argParser(parseApiUrl),
    )
    .addOption(hostPortOption("HAUL_LISTEN", "127.0.0.1:9797"))
    .addOption(haulDataOption())
    .addOption(
      new Option("--download-dir <directory>", "where an aria2 that Haul starts puts files").env(
        "HAUL_DOWNLOAD_DIR",
      ),
    )
    .addOption(logLevelOption("HAUL_LOG_LEVEL"))
    .action(run);
}

async function run(options: RunOptions, command: Command): Promise<void> {
  const { env } = process;
  const client = await frontedClient(options, command);
  const version = command.parent?.version();
  const log = createLogger(options.logLevel);
  const pulseData = pulseDataDirectory(env.PULSE_DATA, env);
  const { url, ...security } = await targetOf(command, pulseData);
  /** Looked for at each attempt: Pulse makes it at its first start, which may come later. */
  const token = async () => (await findTokenFor(command, url, pulseData, ["service"])).token;
  await runUntilStopped(log, async () => {
    const haul = await startHaul({
      ...(client ? { client: { ...client, name: options.name } } : {}),
      ...security,
      pulse: url,
      token,
      name: options.name,
      listen: options.listen,
      stateDirectory: haulStateDirectory(options.data, options.name, env),
      ...(options.advertiseUrl ? { advertiseUrl: options.advertiseUrl } : {}),
      ...(options.downloadDir ? { downloadDirectory: resolve(options.downloadDir) } : {}),
      ...(version ? { version } : {}),
      environment: withoutOurs(env),
      log,
    });
    return { stop: () => haul.close() };
  });
}

/** What a program that Haul starts may see: not our settings, for there are tokens and passwords among them. */
function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(PULSE|HAUL)_/.test(name)));
}

/** `haul probe`: asks the download client once. */
export function probeCommand(): Command {
  return addClientOptions(new Command("probe"))
    .description("ask the download client once, with these credentials, and print what it says")
    .addOption(jsonOption())
    .action(async (options: ClientOptions & { json?: boolean }, command: Command) => {
      const client = await frontedClient(options, command);
      if (!client)
        throw new UsageError("give --kind and --url: say what the download client is, and where");
      const probe = await probeFrontedClient(client);
      print(options.json ? JSON.stringify(probe, null, 2) : probeText(client, probe));
      if (probe.outcome !== "ok") process.exitCode = 1;
    });
}

function addClientOptions(command: Command): Command {
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

/** The download client that the options name, with its credentials read; undefined if they name none. */
async function frontedClient(
  options: ClientOptions,
  command: Command,
): Promise<FrontedClient | undefined> {
  const { kind, url, username } = options;
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
