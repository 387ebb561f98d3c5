import type { FrontedClient, Probe } from "../haul/index.js";
import { factLines } from "./output.js";

/** What a probe found, one line for each thing that is known. */
export function probeText({ kind, url }: FrontedClient, probe: Probe): string {
  const lines: [string, string | undefined][] = [
    ["client", `${kind} at ${url}`],
    ["outcome", probe.outcome],
    ["says", probe.message],
  ];
  if (probe.outcome === "ok") {
    const { version, credentials, load } = probe;
    lines.push(
      ["version", version],
      ["credentials", credentials === "accepted" ? "accepted" : "not asked for on this host"],
      ["free", bytes(load.freeBytes)],
      ["active", load.active?.toString()],
      ["queued", load.queued?.toString()],
      ["download", rate(load.downloadBytesPerSecond)],
      ["upload", rate(load.uploadBytesPerSecond)],
    );
  }
  return factLines(lines);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function bytes(count: number | undefined): string | undefined {
  if (count === undefined) return undefined;
  const power = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), UNITS.length - 1);
  const scaled = count / 1_024 ** power;
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${UNITS[power]}`;
}

function rate(count: number | undefined): string | undefined {
  const text = bytes(count);
  return text && `${text}/s`;
}
