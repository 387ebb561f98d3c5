import { systemClock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { CommandError } from "./failure.js";

/** A little less than the 10 s in which a stopped program must be gone. */
const STOP_TIMEOUT_MS = 9_500;

/** A program that runs. */
export interface Running {
  stop(): Promise<void>;
  /** Resolves if it cannot go on: it is stopped then, and the error said. */
  readonly failed?: Promise<Error>;
}

/**
 * Runs a program until SIGTERM, SIGINT or SIGHUP, then stops it cleanly and
 * ends the process. Whoever started the program with an IPC channel may die
 * without a signal to it: a closed channel counts as one, so that nothing is
 * orphaned. A second Ctrl-C ends it at once.
 */
export async function runUntilStopped(log: Log, start: () => Promise<Running>): Promise<void> {
  const told = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, resolve);
    process.on("disconnect", () => resolve("the end of the program that started this one"));
  });
  const running = await start();
  const cause = await Promise.race([told, ...(running.failed ? [running.failed] : [])]);
  if (cause instanceof Error) log.error({ err: cause }, "failed");
  else log.info({ cause }, "stopping");
  process.once("SIGINT", () => process.exit(1));
  await withinTimeout(running.stop());
  log.info({}, "stopped");
  if (cause instanceof Error) throw cause;
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
