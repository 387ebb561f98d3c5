import type { FrontedClient, Probe } from "../haul/index.js";
import { byteText, rateText } from "./byte-text.js";
import { factLines } from "./output.js";

/** What a probe found, one line for each thing that is known. */
export function probeText({ kind, url }: FrontedClient, probe: Probe): string {
  const lines: [string, string | undefined][] = [
    ["client", `${kind} at ${url}`],
    ["outcome", probe.outcome],
    ["says", probe.message],
  ];
  if (probe.outcome === "ok") {
    const { version, credentials, load, downloadDirectory } = probe;
    lines.push(
      ["version", version],
      ["credentials", credentials === "accepted" ? "accepted" : "not asked for on this host"],
      ["free", known(load.freeBytes, byteText)],
      ["active", load.active?.toString()],
      ["queued", load.queued?.toString()],
      ["download", known(load.downloadBytesPerSecond, rateText)],
      ["upload", known(load.uploadBytesPerSecond, rateText)],
      ["directory", downloadDirectory],
    );
  }
  return factLines(lines);
}

function known(count: number | undefined, textOf: (count: number) => string): string | undefined {
  return count === undefined ? undefined : textOf(count);
}
