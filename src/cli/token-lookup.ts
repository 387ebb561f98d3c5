import { join } from "node:path";
import { ExposedFileError, readPrivateFile } from "../lib/private-file.js";
import { CommandError } from "./failure.js";
import { readSecretFile } from "./given-file.js";
import { isThisHost } from "./this-host.js";

export interface TokenSearch {
  /** `--token-file` or PULSE_TOKEN_FILE. */
  readonly file: string | undefined;
  /** Whether `file` was typed: then it goes before PULSE_TOKEN. */
  readonly fileWasTyped: boolean;
  /** PULSE_TOKEN. */
  readonly token: string | undefined;
  /** Where the token will be sent: one URL, or several with commas between. */
  readonly pulseUrl: string;
  /** Pulse's data directory, if Pulse is on this host. */
  readonly dataDirectory: string;
  /** Which of the tokens made at Pulse's first start will do, the best first. */
  readonly accept: readonly ("service" | "admin")[];
}

/** None was given, and Pulse has made none on this host, which it does at its first start. */
export class NoTokenError extends CommandError {}

export interface FoundToken {
  readonly token: string;
  /** Where it was found, for error messages. */
  readonly source: string;
}

/**
 * Finds the token to use. There is no option that takes the token itself: what
 * is typed shows in process lists and shell histories. A token that was found,
 * not given, is sent to this host only.
 */
export async function findToken(search: TokenSearch): Promise<FoundToken> {
  if (search.file && search.fileWasTyped) return readTokenFile(search.file);
  if (search.token)
    return { token: checkToken(search.token, "PULSE_TOKEN"), source: "PULSE_TOKEN" };
  if (search.file) return readTokenFile(search.file);
  const away = search.pulseUrl.split(",").find((url) => !isThisHost(url));
  if (away !== undefined)
    throw new CommandError(
      `Pulse at ${away} is on another host: give a token of it in PULSE_TOKEN, or in a file with --token-file`,
    );
  const paths = search.accept.map((name) => join(search.dataDirectory, "tokens", `${name}.token`));
  for (const path of paths) {
    const token = (await readReadable(path))?.trim();
    if (token) return { token: checkToken(token, path), source: path };
  }
  throw new NoTokenError(
    `no token found in ${paths.join(" or ")}: give one in PULSE_TOKEN or with --token-file, or say with PULSE_DATA where Pulse keeps its data`,
  );
}

async function readTokenFile(path: string): Promise<FoundToken> {
  return { token: checkToken(await readSecretFile(path), path), source: path };
}

/** A header cannot carry anything else, and a token from Pulse never has it. */
function checkToken(text: string, source: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CommandError(`${source} does not hold a token: it must be one line without spaces`);
}

/**
 * Undefined if it is not there or not for us: then the next place is tried.
 * @throws CommandError if it is for everybody
 */
async function readReadable(path: string): Promise<string | undefined> {
  try {
    return await readPrivateFile(path);
  } catch (error) {
    if (error instanceof ExposedFileError) throw new CommandError(error.message);
    return undefined;
  }
}
