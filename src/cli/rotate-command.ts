import { Command, InvalidArgumentError, Option } from "commander";
import { type RequestedRotation, requestRotation } from "../haul/index.js";
import { parseDuration } from "./duration.js";
import { haulDataOption, haulNameOption, jsonOption, parseApiUrl } from "./options.js";
import { print } from "./output.js";
import { haulStateDirectory } from "./places.js";

const MAX_OVERLAP_MS = 7 * 24 * 3_600_000;
const DEFAULT_OVERLAP_MS = 60_000;

interface RotateOptions {
  readonly name: string;
  readonly data?: string;
  readonly url?: string;
  readonly client?: string;
  readonly overlap?: number;
  readonly json?: boolean;
}

/** `haul rotate-key`: a new secret for what a Haul has registered. */
export function rotateKeyCommand(): Command {
  return new Command("rotate-key")
    .description(
      "give what Haul has registered a new secret: its own API key, or that of its aria2 or of a download client that lets Haul change it; Pulse and all who watch are told",
    )
    .addOption(haulNameOption())
    .addOption(haulDataOption())
    .addOption(
      new Option(
        "--url <url>",
        "where the running Haul's API is; default: what its state directory says",
      )
        .env("HAUL_API_URL")
        .argParser(parseApiUrl),
    )
    .addOption(
      new Option("--client <name>", "which download client, if that Haul has several").env(
        "HAUL_CLIENT",
      ),
    )
    .addOption(
      new Option(
        "--overlap <duration>",
        "how long an API key from before is accepted after Pulse has the new one, 1ms to 7d; default 60s",
      )
        .env("HAUL_OVERLAP")
        .argParser(parseOverlap),
    )
    .addOption(jsonOption())
    .action(async ({ name, data, url, client, overlap, json }: RotateOptions) => {
      const rotated = await requestRotation({
        stateDirectory: haulStateDirectory(data, name, process.env),
        ...(url === undefined ? {} : { url }),
        ...(client === undefined ? {} : { client }),
        overlapMs: overlap ?? DEFAULT_OVERLAP_MS,
      });
      print(json ? JSON.stringify(rotated, undefined, 2) : sentence(rotated));
    });
}

function sentence({ what, pulse }: RequestedRotation): string {
  const done = what === "api-key" ? "Haul has a new API key" : `${what} has a new secret`;
  switch (pulse) {
    case "told":
      return `${done}, and Pulse knows it`;
    case "waiting":
      return `${done}; Pulse does not answer, and is told when it does${what === "api-key" ? ": until then the key from before stays valid" : ""}`;
    case "asleep":
      return `no Haul runs with this state directory: ${done} in its file, which its next start registers; that of another download client is changed only while its Haul runs`;
  }
}

function parseOverlap(text: string): number {
  const overlapMs = parseDuration(text);
  if (overlapMs > MAX_OVERLAP_MS) throw new InvalidArgumentError("Give at most 7d.");
  return overlapMs;
}
