import { type Command, Option } from "commander";
import { UsageError } from "./failure.js";
import { readSecretFile } from "./given-file.js";

/**
 * Adds the options that name a download client's secret. There is none that takes
 * the secret itself: what is typed shows in process lists and shell histories.
 * @param prefix of the variables, such as HAUL
 */
export function addSecretOptions(command: Command, prefix: string): Command {
  return command
    .addOption(
      new Option(
        "--password-file <file>",
        `file with the password; or the password in ${prefix}_PASSWORD`,
      ).env(`${prefix}_PASSWORD_FILE`),
    )
    .addOption(
      new Option(
        "--api-key-file <file>",
        `file with the API key or RPC secret; or the key in ${prefix}_API_KEY`,
      ).env(`${prefix}_API_KEY_FILE`),
    );
}

/** The password or API key that options and variables lead to; undefined if they name none. */
export async function readSecret(command: Command, prefix: string): Promise<string | undefined> {
  const password = await readOne(command, "passwordFile", `${prefix}_PASSWORD`);
  const apiKey = await readOne(command, "apiKeyFile", `${prefix}_API_KEY`);
  if (password && apiKey) throw new UsageError("give a password or an API key, not both");
  return password ?? apiKey;
}

/** From the file that was typed, else from the variable, else from the file that a variable names. */
async function readOne(
  command: Command,
  fileOption: string,
  variable: string,
): Promise<string | undefined> {
  const file: string | undefined = command.getOptionValue(fileOption);
  const wasTyped = command.getOptionValueSource(fileOption) === "cli";
  const given = process.env[variable];
  if (given && !wasTyped) return given;
  return file === undefined ? undefined : readSecretFile(file);
}
