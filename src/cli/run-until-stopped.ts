import { closeSync, openSync } from "node:fs";
import { isatty } from "node:tty";
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
  /** What SIGHUP is for; left out, that is one more way to stop it. */
  readonly reload?: () => Promise<void>;
}

/**
 * Runs a program until SIGTERM, SIGINT or SIGHUP, then stops it cleanly and ends the
 * process. SIGHUP makes one that can reload do that instead, unless it says that the
 * terminal is gone in which the program runs. Whoever started the program with an IPC
 * channel may die without a signal to it: a closed channel counts as one, so that nothing
 * is orphaned. A second Ctrl-C ends it at once.
 */
export async function runUntilStopped(log: Log, start: () => Promise<Running>): Promise<void> {
  let running: Running | undefined;
  let isHungUp = false;
  const isInTerminal = [0, 1, 2].some((fd) => isatty(fd)) && !isTerminalGone();
  const told = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, resolve);
    process.on("SIGHUP", (signal) => {
      if (!running)
        isHungUp = true; // it is not known yet what that means to it
      else if (running.reload && !(isInTerminal && isTerminalGone())) void running.reload();
      else resolve(signal);
    });
    process.on("disconnect", () => resolve("the end of the program that started this one"));
  });
  running = await start();
  if (isHungUp) process.emit("SIGHUP", "SIGHUP");
  const cause = await Promise.race([told, ...(running.failed ? [running.failed] : [])]);
  if (cause instanceof Error) log.error({ err: cause }, "failed");
  else log.info({ cause }, "stopping");
  process.once("SIGINT", () => process.exit(1));
  await withinTimeout(running.stop());
  log.info({}, "stopped");
  if (cause instanceof Error) throw cause;
  process.exit(0);
}

function isTerminalGone(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return false;
  } catch {
    return true;
  }
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
