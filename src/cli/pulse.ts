#!/usr/bin/env node
import { clientsCommand, servicesCommand } from "./list-commands.js";
import { createProgram, runProgram } from "./program.js";
import { serveCommand } from "./serve-command.js";
import { tokenCommand } from "./token-commands.js";

const program = createProgram(
  "pulse",
  "The registry of a media stack: services register here, and media managers find download clients and log in.",
);
for (const command of [serveCommand(), servicesCommand(), clientsCommand(), tokenCommand()])
  program.addCommand(command);
await runProgram(program);
