import { homedir } from "node:os";
import { resolve } from "node:path";
import {
  createAsker,
  type DetectedClient,
  type Detection,
  detectClients,
  missingText,
  writeConfig,
} from "../haul/detect/index.js";
import { systemClock } from "../lib/clock.js";
import { CommandError } from "./failure.js";
import { cell, note, paint, print } from "./output.js";
import { canAsk, confirm } from "./question.js";
import { renderTable } from "./table.js";

export interface DetectOptions {
  readonly output: string;
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Does what `haul detect` was asked for. @throws CommandError */
export async function detect({ output, yes, force, json }: DetectOptions): Promise<void> {
  const home = process.env.HOME || homedir();
  const { signal } = new AbortController();
  const detection = await detectClients({ home }, createAsker(systemClock, signal));
  const { clients } = detection;
  print(json ? JSON.stringify(toJson(detection), null, 2) : detectionText(detection));
  if (clients.length === 0) {
    if (yes) throw new CommandError(`${output} is not written: there is nothing to put into it`);
    return;
  }
  if (!yes && (json || !canAsk())) {
    note(`Nothing was written: say --yes to write ${output}.`);
    return;
  }
  if (!yes && !(await confirm(`Write ${output}?`))) return;
  const { files } = await writeConfig(resolve(output), clients, { isForced: force === true });
  for (const file of files) note(`Wrote ${file}`);
  note(nextSteps(output, clients));
}

/** What people read: no secret is in it. */
export function detectionText({ clients, notes }: Detection): string {
  const table = renderTable(
    ["NAME", "KIND", "URL", "USER", "SECRET FROM", "VERSION"],
    clients.map(({ name, kind, url, username, secret, file, isSecretMissing, version }) => [
      name,
      kind,
      cell(url),
      cell(username ?? ""),
      isSecretMissing ? paint("yellow", "missing") : cell((secret !== undefined && file) || ""),
      cell(version ?? ""),
    ]),
    "No download client that Haul knows answers on this host.",
  );
  const remarks = [
    ...clients.flatMap((client) => {
      const missing = missingText(client);
      return missing === undefined ? [] : [`${client.name}: ${missing}`];
    }),
    ...notes,
  ];
  return [table, ...(remarks.length > 0 ? [""] : []), ...remarks.map(cell)].join("\n");
}

/** Without secrets. */
function toJson({ clients, notes }: Detection): object {
  return {
    clients: clients.map(({ secret, file, missing, isSecretMissing, ...client }) => ({
      ...client,
      ...(file !== undefined && { configuration: file }),
      hasSecret: secret !== undefined,
      ...(missing !== undefined && { missing }),
    })),
    notes,
  };
}

function nextSteps(output: string, clients: readonly DetectedClient[]): string {
  const unfinished = clients.filter(({ missing }) => missing !== undefined).map(({ name }) => name);
  return unfinished.length === 0
    ? `Next: haul run --config ${output}`
    : `Next: fill in what is missing for ${unfinished.join(", ")} in ${output}; then: haul run --config ${output}`;
}
