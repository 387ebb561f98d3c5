import { readFile, writeFile } from "node:fs/promises";

/** What of a process is in memory now, bytes. Linux only. */
export function residentBytes(pid: number): Promise<number> {
  return statusBytes(pid, "VmRSS");
}

/** The most that ever was since `forgetPeak`, bytes. */
export function peakResidentBytes(pid: number): Promise<number> {
  return statusBytes(pid, "VmHWM");
}

export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

async function statusBytes(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1_024;
}
