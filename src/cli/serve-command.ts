import { Command, Option } from "commander";
import type { HostPort } from "../lib/host-port.js";
import { parseDuration, parseDurationOrNever } from "./duration.js";
import { createLogger } from "./logger.js";
import {
  hostPortOption,
  type LogLevel,
  logLevelOption,
  parseNetworks,
  parseWholeNumber,
  pulseDataOption,
  readSwitch,
} from "./options.js";
import { pulseDataDirectory } from "./places.js";
import { runUntilStopped } from "./run-until-stopped.js";
import { addServeTlsOptions, findTlsFiles, type ServeTlsOptions } from "./serve-tls.js";

/** All of them are held in memory. */
const MAX_HISTORY_CHANGES = 1_000_000;

interface ServeOptions extends ServeTlsOptions {
  readonly listen: HostPort;
  readonly data?: string;
  readonly database?: string;
  readonly insecure?: boolean;
  readonly requireApproval?: boolean;
  readonly forgetAfter?: number;
  readonly auditAge?: number;
  readonly historyChanges?: number;
  readonly historyAge?: number;
  readonly allowProbe?: readonly string[];
  readonly logLevel: LogLevel;
}

/** `pulse serve`: nothing but logs on stdout, until it is told to stop. */
export function serveCommand(): Command {
  const command = new Command("serve")
    .description("run Pulse")
    .addOption(hostPortOption("PULSE_LISTEN", "127.0.0.1:9696"))
    .addOption(pulseDataOption());
  return addServeTlsOptions(command)
    .addOption(
      new Option(
        "--database <url>",
        "postgres://… of a database that several Pulses may share; default: one of its own in the data directory",
      ).env("PULSE_DATABASE"),
    )
    .addOption(
      new Option(
        "--insecure",
        "allow plain text on an address that others can reach (env: PULSE_INSECURE=true)",
      ),
    )
    .addOption(
      new Option(
        "--require-approval",
        "hide what registers for the first time until `pulse services approve` (env: PULSE_REQUIRE_APPROVAL=true)",
      ),
    )
    .addOption(
      new Option(
        "--forget-after <duration>",
        "remove a service that is offline for longer than this, or `never`; default 30d",
      )
        .env("PULSE_FORGET_AFTER")
        .argParser(parseDurationOrNever),
    )
    .addOption(
      new Option(
        "--history-changes <number>",
        "how many changes to keep, for watchers and `services explain`; default 10000",
      )
        .env("PULSE_HISTORY_CHANGES")
        .argParser(parseWholeNumber(1, MAX_HISTORY_CHANGES)),
    )
    .addOption(
      new Option("--history-age <duration>", "how long to keep them; default 24h")
        .env("PULSE_HISTORY_AGE")
        .argParser(parseDuration),
    )
    .addOption(
      new Option(
        "--audit-age <duration>",
        "how long to keep entries of the audit log, or `never` to delete none; default 90d",
      )
        .env("PULSE_AUDIT_AGE")
        .argParser(parseDurationOrNever),
    )
    .addOption(
      new Option(
        "--allow-probe <network>",
        "network such as 192.168.1.0/24 to which `clients test` may go, several with commas between or the option again; default: all but link-local and the like",
      )
        .env("PULSE_ALLOW_PROBE")
        .argParser(parseNetworks),
    )
    .addOption(logLevelOption("PULSE_LOG_LEVEL"))
    .addHelpText(
      "after",
      `
PULSE_SECRET_KEY, if set, encrypts API keys at rest; else a key file in the data directory does.
Several keys, with commas between or one per line of the file, are all read, and the first one
encrypts: see \`pulse secrets rotate --help\`.
Files of TLS are read again when they change, and at SIGHUP; without TLS, SIGHUP stops Pulse.`,
    )
    .action(async (options: ServeOptions) => {
      const { env } = process;
      const { forgetAfter, historyChanges, historyAge, auditAge, allowProbe } = options;
      // The arguments may hold a password, and everybody on this host can read them.
      process.title = "pulse serve";
      const log = createLogger(options.logLevel);
      const { startPulse } = await import("../pulse/index.js"); // the other commands need no database
      const dataDirectory = pulseDataDirectory(options.data, env);
      const tls = await findTlsFiles(options, dataDirectory);
      await runUntilStopped(log, async () => {
        const server = await startPulse({
          listen: options.listen,
          dataDirectory,
          ...(tls && { tls }),
          ...(options.database === undefined ? {} : { database: options.database }),
          ...(env.PULSE_SECRET_KEY ? { secretKey: env.PULSE_SECRET_KEY } : {}),
          ...(forgetAfter === undefined ? {} : { forgetAfterMs: forgetAfter }),
          ...(auditAge === undefined ? {} : { auditAgeMs: auditAge }),
          history: {
            ...(historyChanges === undefined ? {} : { maxCommits: historyChanges }),
            ...(historyAge === undefined ? {} : { maxAgeMs: historyAge }),
          },
          requireApproval: options.requireApproval ?? readSwitch("PULSE_REQUIRE_APPROVAL", env),
          ...(allowProbe === undefined ? {} : { allowProbe }),
          insecure: options.insecure ?? readSwitch("PULSE_INSECURE", env),
          log,
        });
        const { reloadCertificate: reload } = server;
        return { stop: () => server.stop(), failed: server.failed, ...(reload && { reload }) };
      });
    });
}
