import { Command, Option } from "commander";
import {
  AuditActionSchema,
  AuditEntrySchema,
  ListAuditEntriesResponseSchema,
} from "../../gen/pulse/v1/audit_service_pb.js";
import { connectPulse } from "../client/index.js";
import { systemClock } from "../lib/clock.js";
import { followAudit } from "./audit-follow.js";
import { auditLines, auditTable } from "./audit-table.js";
import { enumNumber, enumOption, jsonOption, parseWholeNumber } from "./options.js";
import { print, printJson, printJsonLine } from "./output.js";
import { addCallOptions, callPulse } from "./pulse-call.js";
import { type WatchTarget, watchPulse } from "./pulse-watch.js";

interface AuditOptions {
  readonly follow?: boolean;
  readonly last: number;
  readonly action?: readonly string[];
  readonly json?: boolean;
}

/** A page of the log may be less than what was asked for, so more than this cannot be promised. */
const MAX_LAST = 1_000;

/** `pulse audit` */
export function auditCommand(): Command {
  return addCallOptions(new Command("audit"))
    .description("show who did what, the newest last")
    .option("--follow", "go on with what is done from now on, until Ctrl-C")
    .addOption(
      new Option("--last <number>", "how many of the newest entries to show")
        .argParser(parseWholeNumber(1, MAX_LAST))
        .default(50),
    )
    .addOption(enumOption("action", "only these actions", AuditActionSchema))
    .addOption(
      jsonOption("print one JSON object; with --follow one for each entry, in a line of its own"),
    )
    .action((options: AuditOptions, command: Command) =>
      options.follow
        ? watchPulse(command, (target) => follow(options, target), ["admin"])
        : list(options, command),
    );
}

async function list(options: AuditOptions, command: Command): Promise<void> {
  const response = await callPulse(command, ["admin"], ({ audit }) =>
    audit.listAuditEntries(newestOf(options)),
  );
  if (options.json) printJson(ListAuditEntriesResponseSchema, response);
  else print(auditTable(response.entries));
}

async function follow(options: AuditOptions, target: WatchTarget): Promise<void> {
  const { pulse: url, token, signal } = target.options;
  const attempts = url.split(",").length; // each node is asked once
  const retry = {
    maxAttempts: attempts,
    attemptTimeoutMs: 5_000,
    totalTimeoutMs: attempts * 5_000,
  };
  const pulse = connectPulse({ pulse: url, token, retry });
  const callOptions = signal ? { signal } : {};
  const { actions } = newestOf(options);
  let line = auditLines([]);
  try {
    await followAudit(
      {
        first: () => pulse.audit.listAuditEntries(newestOf(options), callOptions),
        next: (afterId) => pulse.audit.listAuditEntries({ afterId, actions }, callOptions),
        print(entries, isFirst) {
          if (options.json) for (const entry of entries) printJsonLine(AuditEntrySchema, entry);
          else if (isFirst) {
            line = auditLines(entries);
            print(auditTable(entries));
          } else for (const entry of entries) print(line(entry));
        },
        clock: systemClock,
      },
      target,
    );
  } finally {
    pulse.close();
  }
}

function newestOf({ last, action = [] }: AuditOptions) {
  const actions = action.map((word) => enumNumber(AuditActionSchema, word));
  return { newest: true, pageSize: last, actions };
}
