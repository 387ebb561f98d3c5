import { UnsealError } from "../lib/sealing.js";
import { sealedForOthers } from "./secret-key.js";
import { StoreOpenError, StoreUnavailableError } from "./store.js";

/** Causes that lie with the disk or another process, in words: a later try may succeed. */
const UNAVAILABLE: Readonly<Record<string, string>> = {
  SQLITE_FULL: "the disk is full",
  SQLITE_READONLY: "the database is read-only",
  SQLITE_BUSY: "another program holds the database",
  SQLITE_LOCKED: "another program holds the database",
  SQLITE_IOERR: "the disk fails",
  SQLITE_CANTOPEN: "the database cannot be opened",
  SQLITE_PROTOCOL: "another program holds the database",
  SQLITE_NOMEM: "memory ran out",
  SQLITE_PERM: "the database may not be accessed",
  SQLITE_CORRUPT: "the database is damaged",
  SQLITE_NOTADB: "the database is damaged",
};

const ADVICE: Readonly<Record<string, string>> = {
  SQLITE_FULL: "make room on the disk",
  SQLITE_BUSY: "end the program that holds it",
  SQLITE_LOCKED: "end the program that holds it",
  SQLITE_CORRUPT: "restore a backup, or move the file away to start anew",
  SQLITE_NOTADB: "restore a backup, or move the file away to start anew",
};

/** The driver's error as the port's, if the database is at fault. Other errors are bugs, and stay. */
export function toUnavailable(error: unknown): unknown {
  const words = UNAVAILABLE[codeOf(error)];
  if (words === undefined) return error;
  return new StoreUnavailableError(`${words}: ${(error as Error).message}`, { cause: error });
}

/** Carries out a step of an open; `path` is the file it is about. Throws what `toOpenError` makes of it. */
export async function attemptOpen<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw toOpenError(error, path);
  }
}

/** The error of an open as one sentence that says what to do. */
function toOpenError(error: unknown, path: string): unknown {
  if (error instanceof UnsealError) return sealedForOthers(error, path);
  const code = codeOf(error);
  if (code === "SQLITE_NOTADB")
    return new StoreOpenError(
      `${path} is no database of Pulse: move it away, or choose another directory with --data`,
      { cause: error },
    );
  const words = UNAVAILABLE[code] ?? fileProblem(error);
  if (words === undefined) return error;
  const file = (error as NodeJS.ErrnoException).path ?? path;
  const advice = ADVICE[code] ?? "choose a directory that can be written with --data";
  return new StoreOpenError(`${file} cannot be used, ${words}: ${advice}`, { cause: error });
}

/** The primary result code of SQLite, or of a failed call of the system. */
function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (typeof code !== "string") return "";
  return /^SQLITE_[A-Z]+/.exec(code)?.[0] ?? code;
}

function fileProblem(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall !== undefined) return `${syscall} failed with ${code}`;
  // libsql gives no code here, only SQLite's number in the text
  return error.message.startsWith("ConnectionFailed") ? "it cannot be opened" : undefined;
}
