import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { eventually } from "./eventually.js";

/** The processes that this one has started and that are not gone. */
export function childrenOf(pid: number): number[] {
  if (process.platform === "linux") {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return children.split(" ").filter(Boolean).map(Number);
  }
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  return stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child, parent]) => (child !== undefined && parent === pid ? [child] : []));
}

/** Sends the signal to those that are not gone. */
export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** What the kernel says a process does, such as `S`, `T` (stopped) or `Z`; undefined: it is gone. */
export function stateOf(pid: number): string | undefined {
  if (process.platform === "linux") {
    try {
      // The name before it is in brackets and may hold brackets and blanks itself.
      return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.[0];
    } catch {
      return undefined;
    }
  }
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", `${pid}`], { encoding: "utf8" });
  return stdout.trim()[0];
}

/** A zombie is dead: in a container nobody may ever collect it. */
export function isAlive(pid: number): boolean {
  return (stateOf(pid) ?? "Z") !== "Z";
}

/** SIGSTOP, and resolves when none of them runs any more: a signal takes its time. */
export async function haltProcesses(pids: readonly number[]): Promise<void> {
  signal(pids, "SIGSTOP");
  await eventually(() => {
    if (pids.some((pid) => isAlive(pid) && stateOf(pid) !== "T"))
      throw new Error("a process does not stop at SIGSTOP");
  });
}
