import type { Command } from "commander";
import type { StreamOptions } from "../client/index.js";
import { type ConnectionNotes, connectionNotes } from "./connection-notes.js";
import { callFailure } from "./failure.js";
import { note } from "./output.js";
import { callTarget } from "./pulse-call.js";
import { NoTokenError, type TokenSearch } from "./token-lookup.js";

/** What a watch needs. */
export interface WatchTarget {
  readonly options: Pick<StreamOptions<unknown>, "pulse" | "tls" | "insecure" | "token" | "signal">;
  readonly notes: ConnectionNotes;
  /** What it means for the person at the terminal that Pulse refuses the token. */
  refusal(error: Error): Error;
}

/** Watches Pulse as the options of `command` say, until the process is told to stop. */
export async function watchPulse(
  command: Command,
  watch: (target: WatchTarget) => Promise<void>,
  accept: TokenSearch["accept"] = ["service", "admin"],
): Promise<void> {
  const { url, security, findToken } = await callTarget(command, accept);
  let source = "";
  const token = async () => {
    const found = await findToken();
    source = found.source;
    return found.token;
  };
  // What waiting cannot mend is said at once.
  await token().catch((error: unknown) => {
    if (!(error instanceof NoTokenError)) throw error;
  });
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => stopping.abort()); // a second one ends it at once
  await watch({
    options: {
      ...security,
      pulse: url,
      token, // looked for at each attempt: Pulse makes it at its first start
      signal: stopping.signal,
    },
    notes: connectionNotes(url, note),
    refusal: (error) => callFailure(error, url, source),
  });
}
