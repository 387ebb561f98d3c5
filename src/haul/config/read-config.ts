import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type FileLooks, lookAt } from "../../lib/file-watch.js";
import { type HostPort, readHostPort } from "../../lib/host-port.js";
import { readText, unreadable } from "../../lib/secret-file.js";
import type { ClientSettings } from "../client-settings.js";
import { type ClientEntry, clientSchema } from "./client-schema.js";
import { ConfigError, problemLine } from "./config-error.js";
import { parseConfig } from "./config-text.js";
import { configSchema, MAX_CLIENTS, pulseAddresses } from "./schema.js";
import { problemAt, schemaProblems } from "./schema-problems.js";
import { type Environment, readSecret, secretSourceOf } from "./secrets.js";
import { settingsOf, withoutUndefined } from "./settings.js";

const MAX_BYTES = 1_048_576;

/** What a configuration file says, with the secrets that it leads to. */
export interface HaulConfig {
  /** As in `HaulOptions`. */
  readonly pulse?: string;
  /** Absolute; not read. */
  readonly tokenFile?: string;
  readonly listen?: HostPort;
  /** Those that are enabled, in the order of the file; none if none is. */
  readonly clients: readonly ClientSettings[];
  /** What works, and yet the operator should look at: a line each. */
  readonly warnings: readonly string[];
  /** Every file that was read, as it looked just before that. */
  readonly files: FileLooks;
}

/**
 * Reads a configuration file, YAML or JSON, and the secrets that it leads to.
 * @param env where secrets are that are named by variables
 * @throws ConfigError that tells all that is wrong, with the lines
 */
export async function readConfig(path: string, env: Environment): Promise<HaulConfig> {
  const files = new Map(await lookAt([path]));
  const text = await readConfigText(path);
  if (!text.ok) throw new ConfigError(path, [{ text: text.problem }], files);
  const parsed = parseConfig(text.text);
  if (!parsed.ok) throw new ConfigError(path, parsed.problems, files);

  const checked = configSchema.safeParse(parsed.value);
  const problems = checked.success ? [] : schemaProblems(checked.error.issues, parsed);
  const directory = dirname(resolve(path));
  const clients: ClientSettings[] = [];
  const warnings: string[] = [];
  for (const [index, entry] of enabledClients(parsed.value)) {
    const source = secretSourceOf(entry, directory);
    if (!source) {
      clients.push(settingsOf(entry));
      continue;
    }
    const file = "file" in source ? source.file : undefined;
    if (file !== undefined) for (const look of await lookAt([file])) files.set(...look);
    const reading = await readSecret(source, env);
    const at = ["clients", index, source.key];
    if (!reading.ok) {
      problems.push(problemAt(at, reading.problem, parsed));
      continue;
    }
    if (reading.isExposed) warnings.push(problemLine(path, problemAt(at, exposed(file), parsed)));
    clients.push(settingsOf(entry, reading.secret, file));
  }
  if (!checked.success || problems.length > 0) throw new ConfigError(path, problems, files);

  const { pulse, token_file, listen } = checked.data;
  return {
    ...withoutUndefined({
      pulse: pulse && pulseAddresses(pulse)?.join(","),
      tokenFile: token_file && resolve(directory, token_file),
      listen: listen === undefined ? undefined : readHostPort(listen),
    }),
    clients,
    warnings,
    files,
  };
}

async function readConfigText(
  path: string,
): Promise<{ ok: true; text: string } | { ok: false; problem: string }> {
  const fail = (problem: string) => ({ ok: false, problem }) as const;
  try {
    // A pipe gives what it has only once, and may never end.
    if (!(await stat(path)).isFile())
      return fail("is no ordinary file, and could not be read again when it changes: give one");
    const text = await readText(path, MAX_BYTES);
    return text === undefined
      ? fail(`has more than ${MAX_BYTES} bytes: leave out what is none of it`)
      : { ok: true, text };
  } catch (error) {
    return fail(unreadable(error));
  }
}

/** Those that can be used, with their places in the list, whatever is wrong with the others. */
function* enabledClients(file: unknown): Iterable<[index: number, entry: ClientEntry]> {
  const list: unknown = (file as { clients?: unknown } | null)?.clients;
  if (!Array.isArray(list)) return;
  for (const [index, each] of list.slice(0, MAX_CLIENTS).entries()) {
    const { data } = clientSchema.safeParse(each);
    if (data && data.enabled !== false) yield [index, data];
  }
}

function exposed(file = ""): string {
  return `names a secret that every user of this host may read: "chmod 600 ${file}"`;
}
