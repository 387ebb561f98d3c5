import { resolve } from "node:path";
import { Command, Option } from "commander";
import { startHaul } from "../haul/index.js";
import type { HostPort } from "../lib/host-port.js";
import { addClientOptions, addFrontOptions } from "./client-options.js";
import { findClients } from "./client-source.js";
import { createLogger } from "./logger.js";
import {
  addSecurityOptions,
  haulDataOption,
  haulNameOption,
  hostPortOption,
  type LogLevel,
  logLevelOption,
  pulseUrlOption,
  tokenFileOption,
} from "./options.js";
import { haulStateDirectory, pulseDataDirectory } from "./places.js";
import { findTokenFor } from "./pulse-call.js";
import { targetOf } from "./pulse-target.js";
import { runUntilStopped } from "./run-until-stopped.js";

interface RunOptions {
  readonly name: string;
  readonly listen: HostPort;
  readonly data?: string;
  readonly advertiseUrl?: string;
  readonly downloadDir?: string;
  readonly logLevel: LogLevel;
}

/** `haul run`: registers download clients and keeps them alive, until it is told to stop. */
export function runCommand(): Command {
  const command = new Command("run")
    .description(
      "register a download client, or all that a file names; with none given, start an aria2 if there is one, or register Haul itself",
    )
    .addOption(
      new Option(
        "--config <file>",
        "YAML or JSON file with any number of download clients; read anew when it changes, and on SIGHUP",
      ).env("HAUL_CONFIG"),
    );
  addFrontOptions(addClientOptions(command))
    .addOption(pulseUrlOption())
    .addOption(tokenFileOption());
  return addSecurityOptions(command)
    .addOption(haulNameOption())
    .addOption(hostPortOption("HAUL_LISTEN", "127.0.0.1:9797"))
    .addOption(haulDataOption())
    .addOption(logLevelOption("HAUL_LOG_LEVEL"))
    .action(run);
}

async function run({ name }: RunOptions, command: Command): Promise<void> {
  const { env } = process;
  const source = await findClients(command, name);
  const options = command.opts<RunOptions>(); // with what a configuration file says of them
  const version = command.parent?.version();
  const log = createLogger(options.logLevel);
  const pulseData = pulseDataDirectory(env.PULSE_DATA, env);
  const { url, ...security } = await targetOf(command, pulseData);
  /** Looked for at each attempt: Pulse makes it at its first start, which may come later. */
  const token = async () => (await findTokenFor(command, url, pulseData, ["service"])).token;
  await runUntilStopped(log, async () => {
    const haul = await startHaul({
      ...source.given,
      ...security,
      pulse: url,
      token,
      name,
      listen: options.listen,
      stateDirectory: haulStateDirectory(options.data, name, env),
      ...(options.advertiseUrl ? { advertiseUrl: options.advertiseUrl } : {}),
      ...(options.downloadDir ? { downloadDirectory: resolve(options.downloadDir) } : {}),
      ...(version ? { version } : {}),
      environment: withoutOurs(env),
      log,
    });
    const following = source.follow(haul, log);
    return {
      ...(following && { reload: following.reload }),
      async stop() {
        following?.stop();
        await haul.close();
      },
    };
  });
}

/** What a program that Haul starts may see: not our settings, for there are tokens and passwords among them. */
function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(PULSE|HAUL)_/.test(name)));
}
