import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Log } from "../lib/log.js";
import { readIfPresent, removeIfPresent, writePrivateFile } from "../lib/private-file.js";

/** Name of the file in the identity's directory. */
const TOKEN_FILE = "instance.token";

/** The bearer token that Pulse gave this instance of its own, in return for a join token. */
export interface InstanceToken {
  /** Whether there is one, as far as it was looked up. */
  readonly isHeld: boolean;
  /**
   * The token; undefined: there is none.
   * @throws ConnectError (UNAVAILABLE) if nobody can say yet.
   */
  read(): Promise<string | undefined>;
  /** Goes on with this one. Never rejects: what cannot be written down is kept in memory. */
  keep(token: string): Promise<void>;
  /** Goes on without. Never rejects. */
  drop(): Promise<void>;
}

/**
 * @param directory in which it is kept (`instance.token`, mode 0600); undefined: in memory alone
 * @param log told if it could not be written down; never of the token
 */
export function createInstanceToken(
  directory: string | undefined,
  log: Log | undefined,
): InstanceToken {
  const path = directory === undefined ? undefined : join(directory, TOKEN_FILE);
  let known: { readonly token: string | undefined } | undefined;

  async function change(token: string | undefined, write: (path: string) => Promise<void>) {
    known = { token };
    if (path === undefined) return;
    await write(path).catch((err: unknown) => {
      log?.warn({ err, path }, "pulse.instance_token_not_kept");
    });
  }

  return {
    get isHeld() {
      return known?.token !== undefined;
    },
    async read() {
      known ??= { token: path === undefined ? undefined : await readToken(path) };
      return known.token;
    },
    keep: (token) => change(token, (file) => writePrivateFile(file, `${token}\n`)),
    drop: () => change(undefined, removeIfPresent),
  };
}

/** What is no token, such as an empty file, is none: joining again gives another. */
async function readToken(path: string): Promise<string | undefined> {
  try {
    const text = (await readIfPresent(path))?.trim() ?? "";
    return /^[\x21-\x7e]+$/.test(text) ? text : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConnectError(
      `cannot read ${path} (${code}): let this user read it`,
      Code.Unavailable,
    );
  }
}
