import { Command, Option } from "commander";
import { createLogger } from "./logger.js";
import {
  type HostPort,
  hostPortOption,
  type LogLevel,
  logLevelOption,
  pulseDataOption,
  readSwitch,
} from "./options.js";
import { pulseDataDirectory } from "./places.js";
import { runUntilStopped } from "./run-until-stopped.js";

interface ServeOptions {
  readonly listen: HostPort;
  readonly data?: string;
  readonly insecure?: boolean;
  readonly logLevel: LogLevel;
}

/** `pulse serve`: nothing but logs on stdout, until it is told to stop. */
export function serveCommand(): Command {
  return new Command("serve")
    .description("run Pulse")
    .addOption(hostPortOption("PULSE_LISTEN", "127.0.0.1:9696"))
    .addOption(pulseDataOption())
    .addOption(
      new Option(
        "--insecure",
        "allow plain text on an address that others can reach (env: PULSE_INSECURE=true)",
      ),
    )
    .addOption(logLevelOption("PULSE_LOG_LEVEL"))
    .addHelpText(
      "after",
      "\nPULSE_SECRET_KEY, if set, encrypts API keys at rest; else a key file in the data directory does.",
    )
    .action(async (options: ServeOptions) => {
      const { env } = process;
      const log = createLogger(options.logLevel);
      const { startPulse } = await import("../pulse/index.js"); // the other commands need no database
      await runUntilStopped(log, async () => {
        const server = await startPulse({
          listen: options.listen,
          dataDirectory: pulseDataDirectory(options.data, env),
          ...(env.PULSE_SECRET_KEY ? { secretKey: env.PULSE_SECRET_KEY } : {}),
          insecure: options.insecure ?? readSwitch("PULSE_INSECURE", env),
          log,
        });
        return server;
      });
    });
}
