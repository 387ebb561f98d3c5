import type { ManagerApi } from "../attach/manager.js";
import type { Started } from "../attach/starts.js";
import type { Bench } from "../bench.js";
import type { Target } from "../generator/connection.js";
import type { Remote } from "../remote.js";

const TIMEOUT_MS = 30_000;

/** Who takes part beside Haul and the download clients. */
export interface Stage {
  readonly bench: Bench;
  /** A Pulse. */
  readonly target: Target;
  /** It watches that Pulse. */
  readonly manager: Remote<ManagerApi>;
}

/** When the manager was logged in at all of these; rejects if the Haul ends before. */
export async function loggedInAtMs(
  { manager }: Stage,
  { failed }: Started,
  names: readonly string[],
): Promise<number> {
  const logIns = names.map((name) => manager.loggedInAtMs(name, TIMEOUT_MS));
  return Math.max(...(await Promise.race([Promise.all(logIns), failed])));
}
