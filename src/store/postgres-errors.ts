import pg from "pg";
import { UnsealError } from "../lib/sealing.js";
import { UnknownOutcomeError } from "./postgres-dialect.js";
import { DeadlineError } from "./postgres-pool.js";
import { sealedForOthers } from "./secret-key.js";
import { StoreOpenError, StoreUnavailableError } from "./store.js";

/**
 * Causes that lie with the server or the way to it, in words: a later try may
 * succeed. By SQLSTATE or its class (PostgreSQL's manual, appendix A).
 */
const UNAVAILABLE: Readonly<Record<string, string>> = {
  "08": "the connection broke",
  "25006": "the database is read-only",
  "25P03": "this Pulse stood still in the middle of a transaction",
  "28": "the database refuses this user",
  "3D": "there is no such database",
  "3F": "there is no schema to make tables in",
  "40": "another transaction was in the way",
  "42501": "this user may not use the tables",
  "42P01": "the tables are not there",
  "42P07": "it has tables of another program",
  "53": "the server has run out of room or connections",
  "55P03": "another node holds the database",
  "57": "the server ended the statement",
  "58": "the server's disk fails",
  XX: "the server fails",
};

const ADVICE: Readonly<Record<string, string>> = {
  "25006": "give the address of the primary",
  "28": "check the user and password in the URL, PGPASSWORD or ~/.pgpass",
  "3D": "create it, or give another name in the URL",
  "3F": "see to its search_path",
  "42501": "let the user create tables in the database",
  "42P07": "give a database of Pulse's own",
  "53": "make room, or raise max_connections",
};

/** The driver lacks what the server asks for, such as a password; its errors have no code. */
const LOGIN_REFUSED = "28";

/** The driver's error as the port's, if the database is at fault. Other errors are bugs, and stay. */
export function toUnavailable(error: unknown): unknown {
  if (error instanceof UnknownOutcomeError)
    return new StoreUnavailableError(error.message, { cause: error, isOutcomeUnknown: true });
  if (error instanceof UnsealError && error.missingKeyId !== undefined)
    return new StoreUnavailableError(
      `other nodes encrypt with the key ${error.missingKeyId}, which this Pulse does not have: give it that key, and start it anew`,
      { cause: error },
    );
  const words = wordsFor(error);
  if (words === undefined) return error;
  return new StoreUnavailableError(`${words}: ${textOf(error)}`, { cause: error });
}

/** The error of an open as one sentence that says what to do. */
export function toOpenError(error: unknown, database: string): unknown {
  if (error instanceof UnsealError) return sealedForOthers(error, database);
  const { path, code } = error as NodeJS.ErrnoException;
  if (path !== undefined)
    return new StoreOpenError(
      `${path} cannot be read (${code}): let Pulse's user read it, or name another file`,
      { cause: error },
    );
  const words = wordsFor(error);
  if (words === undefined) return error;
  const advice = lookUp(ADVICE, codeOf(error)) ?? "start it, or give another URL";
  return new StoreOpenError(`${database} cannot be used, ${words} (${textOf(error)}): ${advice}`, {
    cause: error,
  });
}

function wordsFor(error: unknown): string | undefined {
  if (error instanceof DeadlineError) return "the server does not answer";
  return (
    lookUp(UNAVAILABLE, codeOf(error)) ??
    (isConnectionProblem(error) ? "there is no connection" : undefined)
  );
}

/** Several addresses were tried in vain: the error of that has no text of its own. */
function textOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  return message || code || "no reason given";
}

/** Of the socket, or of pg, whose own errors have no code. */
function isConnectionProblem(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { syscall, code } = error as NodeJS.ErrnoException;
  return (
    syscall !== undefined ||
    /^(ECONN|EPIPE|ETIMEDOUT|ERR_STREAM_DESTROYED|ERR_TLS|ERR_SSL)|CERT|UNABLE_TO_/.test(
      code ?? "",
    ) ||
    /^(Connection terminated|Connection ended|timeout e|Client (has encountered|was closed)|The server does not support SSL|There was an error establishing an SSL)/.test(
      error.message,
    )
  );
}

function lookUp(table: Readonly<Record<string, string>>, code: string): string | undefined {
  return table[code] ?? table[code.slice(0, 2)];
}

function codeOf(error: unknown): string {
  if (error instanceof pg.DatabaseError) return error.code ?? "";
  return error instanceof Error && error.message.startsWith("SASL:") ? LOGIN_REFUSED : "";
}
