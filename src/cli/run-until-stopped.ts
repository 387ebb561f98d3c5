import { systemClock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { CommandError } from "./failure.js";

/** A little less than the 10 s in which a stopped program must be gone. */
const STOP_TIMEOUT_MS = 9_500;

/**
 * Runs a program until SIGTERM, SIGINT or SIGHUP, then stops it cleanly and
 * ends the process. Whoever started the program with an IPC channel may die
 * without a signal to it: a closed channel counts as one, so that nothing is
 * orphaned. A second Ctrl-C ends it at once.
 */
export async function runUntilStopped(
  log: Log,
  start: () => Promise<() => Promise<void>>,
): Promise<void> {
  const told = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, resolve);
    process.on("disconnect", () => resolve("the end of the program that started this one"));
  });
  const stop = await start();
  const cause = await told;
  log.info({ cause }, "stopping");
  process.once("SIGINT", () => process.exit(1));
  await withinTimeout(stop());
  log.info({}, "stopped");
  process.exit(0);
}

/** Rejects if it takes too long: the process then ends without it. */
async function withinTimeout(stopping: Promise<void>): Promise<void> {
  await Promise.race([
    stopping,
    new Promise<never>((_, reject) => {
      systemClock.setTimer(
        STOP_TIMEOUT_MS,
        () => reject(new CommandError(`not stopped cleanly within ${STOP_TIMEOUT_MS / 1_000} s`)),
        { holdsProcess: true },
      );
    }),
  ]);
}
