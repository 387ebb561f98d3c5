#!/usr/bin/env node
import { detectCommand } from "./detect-command.js";
import { probeCommand } from "./haul-probe-command.js";
import { runCommand } from "./haul-run-command.js";
import { createProgram, runProgram } from "./program.js";
import { rotateKeyCommand } from "./rotate-command.js";

const program = createProgram(
  "haul",
  "The agent beside a download client: registers it with Pulse and keeps it alive there.",
);
program
  .addCommand(runCommand())
  .addCommand(probeCommand())
  .addCommand(detectCommand())
  .addCommand(rotateKeyCommand());
await runProgram(program);
