import { type Command, Option } from "commander";
import { UsageError } from "./failure.js";
import { readSecretFile } from "./given-file.js";

/**
 * Adds the options that name a download client's secret. There is none that takes
 * the secret itself: what is typed shows in process lists and shell histories.
 * @param prefix of the variables, such as HAUL; undefined: no variable counts
 */
export function addSecretOptions(command: Command, prefix?: string): Command {
  return command
    .addOption(secretOption("--password-file <file>", "the password", "PASSWORD", prefix))
    .addOption(
      secretOption("--api-key-file <file>", "the API key or RPC secret", "API_KEY", prefix),
    );
}

function secretOption(
  flags: string,
  what: string,
  variable: string,
  prefix: string | undefined,
): Option {
  if (prefix === undefined)
    return new Option(flags, `file with ${what}; /dev/stdin reads it from a pipe`);
  const name = `${prefix}_${variable}`;
  return new Option(flags, `file with ${what}; or ${what} itself in ${name}`).env(`${name}_FILE`);
}

/**
 * The password or API key that options and variables lead to; undefined if they name none.
 * @param prefix as in `addSecretOptions`
 */
export async function readSecret(command: Command, prefix?: string): Promise<string | undefined> {
  return (await readSecretAndFile(command, prefix)).secret;
}

export interface GivenSecret {
  readonly secret?: string;
  /** Where it was read from, if that was a file. */
  readonly file?: string;
}

/** As `readSecret`, and the file that it came from. */
export async function readSecretAndFile(command: Command, prefix?: string): Promise<GivenSecret> {
  const password = await readOne(command, "passwordFile", prefix && `${prefix}_PASSWORD`);
  const apiKey = await readOne(command, "apiKeyFile", prefix && `${prefix}_API_KEY`);
  if (password && apiKey) throw new UsageError("give a password or an API key, not both");
  return password ?? apiKey ?? {};
}

/** From the file that was typed, else from the variable, else from the file that a variable names. */
async function readOne(
  command: Command,
  fileOption: string,
  variable: string | undefined,
): Promise<GivenSecret | undefined> {
  const file: string | undefined = command.getOptionValue(fileOption);
  const wasTyped = command.getOptionValueSource(fileOption) === "cli";
  const given = variable && process.env[variable];
  if (given && !wasTyped) return { secret: given };
  return file === undefined ? undefined : { secret: await readSecretFile(file), file };
}
