import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";

/** A command that needs longer says no more about the moment. */
export const VPN_CHECK_TIMEOUT_MS = 5_000;

/** `unknown`: it has not been asked yet. */
export type VpnState = "up" | "down" | "unknown";

export interface VpnCheckOptions {
  /** For `sh -c`; it writes to nobody and reads nothing. */
  readonly command: string;
  /** All that the command sees of the environment, PATH among it; without our secrets. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests. */
  readonly start?: StartCommand;
}

/** A command that runs. */
export interface RunningCommand {
  /** Its exit code; undefined if a signal has ended it. @throws if it could not be started */
  readonly ended: Promise<number | undefined>;
  /** Ends it and all that it has started, at once. */
  kill(): void;
}

export type StartCommand = (
  command: string,
  environment: VpnCheckOptions["environment"],
) => RunningCommand;

/** Whether the VPN of a download client is up, by a command of the operator's. */
export interface VpnCheck {
  /** By the last run that has ended. */
  readonly state: VpnState;
  /**
   * Runs the command, or waits for a run that is under way; for 5 s at most, though nothing
   * can end it. Exit code 0 is up, all else is down: another code, no end in time, no start.
   * Never rejects.
   */
  run(): Promise<VpnState>;
  /** Ends a run that is under way, which then changes nothing, and begins no more. As long as `run`. */
  stop(): Promise<void>;
}

/** The command is never logged: it may hold a secret. */
export function createVpnCheck(options: VpnCheckOptions): VpnCheck {
  const { command, environment, clock, log, start = startShell } = options;
  let state: VpnState = "unknown";
  let isStopped = false;
  let current: Promise<VpnState> | undefined;
  let kill = () => {};
  /** Said last; undefined: it has worked since. */
  let trouble: string | undefined;

  /** A line once, and again only if it has worked in between. */
  function complain(detail: string | undefined): void {
    if (detail !== undefined && detail !== trouble) log.warn({ detail }, "haul.vpn-check-failed");
    trouble = detail;
  }

  /** @param onLate called with "down" when its time is over; it goes on until it has ended */
  async function runOnce(onLate: (state: VpnState) => void): Promise<VpnState> {
    let isLate = false;
    let problem: string | undefined;
    let code: number | undefined;
    try {
      const running = start(command, environment);
      kill = running.kill;
      const limit = clock.setTimer(VPN_CHECK_TIMEOUT_MS, () => {
        isLate = true;
        state = "down"; // now: one that waits for a disk ends only when that answers
        complain(TOO_LATE);
        running.kill();
        onLate(state);
      });
      code = await running.ended.finally(() => limit.cancel());
    } catch (error) {
      const { code = "unknown error" } = error as NodeJS.ErrnoException;
      problem = `vpn_check cannot be started (${code}): the VPN counts as down until it can`;
    }
    kill = () => {};
    if (isStopped || isLate) return state;
    complain(problem);
    state = code === 0 ? "up" : "down";
    return state;
  }

  return {
    get state() {
      return state;
    },
    run() {
      if (isStopped) return Promise.resolve(state);
      current ??= new Promise((resolve) => {
        void runOnce(resolve).then((state) => {
          current = undefined;
          resolve(state);
        });
      });
      return current;
    },
    async stop() {
      isStopped = true;
      kill();
      await current;
    },
  };
}

const TOO_LATE = `vpn_check did not end within ${VPN_CHECK_TIMEOUT_MS / 1_000} s and was killed: the VPN counts as down until it does`;

/** In a process group of its own, so that whatever it has started can be ended with it. */
const startShell: StartCommand = (command, environment) => {
  const child = spawn("/bin/sh", ["-c", command], {
    env: environment,
    stdio: "ignore",
    detached: true,
  });
  const ended = new Promise<number | undefined>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? undefined));
  });
  return { ended, kill: () => killGroup(child) };
};

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // all of it has ended meanwhile
  }
}
