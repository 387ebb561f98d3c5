import { type Clock, sleep, systemClock } from "../lib/clock.js";
import type { ChildProgram } from "./child-program.js";

const RESTART_AFTER_MS = 5_000;

export type SupervisedState =
  | { readonly name: "starting" }
  | { readonly name: "running"; readonly pid: number; readonly url: string }
  | { readonly name: "ended"; readonly reason: string };

/** A program that is started again 5 s after it ended. */
export interface Supervised {
  readonly state: SupervisedState;
  /** Ends it for good, and resolves when it is gone. */
  stop(): Promise<void>;
}

/** Starts a program and resolves when it is ready; rejects if it ends before that the first time. */
export async function supervise(
  start: () => ChildProgram,
  clock: Clock = systemClock,
): Promise<Supervised> {
  const stopping = new AbortController();
  let state: SupervisedState = { name: "starting" };
  const follow = async (run: ChildProgram) => {
    const url = await run.ready;
    state = { name: "running", pid: run.pid ?? 0, url };
  };

  let run = start();
  await follow(run);
  const over = keepRunning();

  async function keepRunning(): Promise<void> {
    while (true) {
      const reason = await run.ended;
      if (stopping.signal.aborted) return;
      state = { name: "ended", reason };
      await sleep(clock, RESTART_AFTER_MS, stopping.signal, { holdsProcess: true });
      state = { name: "starting" };
      run = start();
      follow(run).catch(() => {}); // that it ended is seen above
    }
  }

  return {
    get state() {
      return state;
    },
    async stop() {
      stopping.abort();
      await run.stop();
      await over.catch(() => {}); // the wait for a restart was cut short
    },
  };
}
