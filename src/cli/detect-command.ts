import { Command, Option } from "commander";
import type { DetectOptions } from "./detect.js";
import { jsonOption } from "./options.js";

/** `haul detect`: finds the download clients of this host, and writes a configuration for them. */
export function detectCommand(): Command {
  return (
    new Command("detect")
      .description(
        "find the download clients on this host, print them, and write a configuration for them after asking",
      )
      .addOption(
        new Option(
          "--output <file>",
          "the configuration to write; its secrets go beside it",
        ).default("haul.yaml"),
      )
      .addOption(new Option("--yes", "write it without asking"))
      .addOption(new Option("--force", "replace files that are there already"))
      .addOption(jsonOption())
      // Loaded when it is needed: other commands have no use for what it writes YAML with.
      .action(async (options: DetectOptions) => (await import("./detect.js")).detect(options))
  );
}
