import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { readSecretFile, unreadable } from "../../lib/secret-file.js";
import { textProblem } from "../../lib/text-rule.js";
import type { ClientEntry } from "./client-schema.js";

/** As in the contract. */
const SECRET_RULE = { min: 1, max: 4_096 };
const FILE_KEYS = ["password_file", "api_key_file"] as const;
const VARIABLE_KEYS = ["password_env", "api_key_env"] as const;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a client's secret is. */
export type SecretSource =
  | { readonly key: (typeof FILE_KEYS)[number]; readonly file: string }
  | { readonly key: (typeof VARIABLE_KEYS)[number]; readonly variable: string };

export type SecretReading =
  | { readonly ok: true; readonly secret: string; readonly isExposed: boolean }
  | { readonly ok: false; readonly problem: string };

/**
 * Where a client's secret is; undefined: it has none.
 * @param directory where relative paths begin
 */
export function secretSourceOf(client: ClientEntry, directory: string): SecretSource | undefined {
  for (const key of FILE_KEYS) {
    const file = client[key];
    if (file !== undefined) return { key, file: resolve(directory, file) };
  }
  for (const key of VARIABLE_KEYS) {
    const variable = client[key];
    if (variable !== undefined) return { key, variable };
  }
  return undefined;
}

/**
 * Reads a client's secret. What is wrong is said without the name of the file or
 * variable, for that may be the secret itself, in the wrong place.
 */
export async function readSecret(source: SecretSource, env: Environment): Promise<SecretReading> {
  const isFile = "file" in source;
  const reading = isFile ? await readFromFile(source.file) : readVariable(env[source.variable]);
  const problem = reading.ok ? textProblem(reading.secret, SECRET_RULE) : reading.problem;
  if (problem === undefined) return reading;
  const subject = reading.ok ? "with a secret that" : "that";
  return { ok: false, problem: `names a ${isFile ? "file" : "variable"} ${subject} ${problem}` };
}

function readVariable(secret: string | undefined): SecretReading {
  return secret
    ? { ok: true, secret, isExposed: false }
    : { ok: false, problem: "is not set: set it where Haul is started" };
}

async function readFromFile(file: string): Promise<SecretReading> {
  const fail = (problem: string): SecretReading => ({ ok: false, problem });
  try {
    // A pipe gives what it has only once, and may never end.
    if (!(await stat(file)).isFile()) return fail("is no ordinary file: put the secret into one");
  } catch (error) {
    return fail(unreadable(error));
  }
  return readSecretFile(file);
}
