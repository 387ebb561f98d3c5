import type { SqliteConnection } from "./sqlite-dialect.js";
import { StoreOpenError } from "./store.js";

/** How long to wait for an owner that is about to end, in ms. It blocks: nothing else runs yet. */
const PATIENCE_MS = 1_000;

/**
 * Makes this process the owner of a data directory, by an exclusive transaction
 * that never ends on a database of its own. The kernel gives the lock back when
 * the process ends, however it ends; a file with a process id in it would outlive
 * a SIGKILL. The registry's own database stays open to others, so that it can be
 * looked at and backed up while Pulse runs.
 *
 * @throws StoreOpenError if another process is the owner.
 */
export function takeOwnership(connection: SqliteConnection, directory: string): void {
  connection.exec(`pragma busy_timeout = ${PATIENCE_MS}`);
  try {
    connection.exec("begin exclusive");
  } catch (error) {
    if (!/^SQLITE_(BUSY|LOCKED)/.test((error as NodeJS.ErrnoException).code ?? "")) throw error;
    throw new StoreOpenError(
      `another Pulse uses the data directory ${directory}: stop it, or choose another directory with --data`,
      { cause: error },
    );
  }
}

export function giveUpOwnership(connection: SqliteConnection): void {
  connection.exec("rollback");
  connection.close();
}
