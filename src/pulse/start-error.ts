import { ExposedFileError } from "../lib/private-file.js";
import { StoreOpenError, StoreUnavailableError } from "../store/store.js";

/** Pulse cannot start; the message is one sentence that tells the operator what to do. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** What went wrong at a start as one sentence, unless it is a bug, which stays as it is. */
export function toStartError(
  error: unknown,
  { host, port }: { readonly host: string; readonly port: number },
  dataDirectory: string,
): unknown {
  const start = (message: string) => new StartError(message, { cause: error });
  if (error instanceof StoreOpenError || error instanceof ExposedFileError)
    return start(error.message);
  if (error instanceof StoreUnavailableError)
    return start(`the database cannot be used, ${error.message}: start Pulse again once it can`);
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === "listen" || syscall === "bind" || syscall === "getaddrinfo") {
    const address = `${host}:${port}`;
    if (code === "EADDRINUSE")
      return start(`${address} is in use: stop the program there, or choose another with --listen`);
    if (code === "EACCES")
      return start(
        `${address} may not be used by this user: choose a port above 1023 with --listen`,
      );
    return start(`${address} is no address of this host (${code}): choose another with --listen`);
  }
  if (
    code === "EACCES" ||
    code === "EROFS" ||
    code === "ENOTDIR" ||
    code === "EISDIR" ||
    code === "ENOSPC"
  )
    return start(
      `the data directory ${dataDirectory} cannot be written (${code}): choose another with --data`,
    );
  return error;
}
