#!/usr/bin/env node
import { addCommand } from "./add-command.js";
import { approveCommand } from "./approve-command.js";
import { auditCommand } from "./audit-command.js";
import { editCommand } from "./edit-command.js";
import { removeCommand, restoreCommand, testCommand } from "./entry-commands.js";
import { explainCommand } from "./explain-command.js";
import { listClientsCommand, listServicesCommand } from "./list-commands.js";
import { migrateCommand } from "./migrate-command.js";
import { commandGroup, createProgram, runProgram } from "./program.js";
import { secretsCommand } from "./secret-commands.js";
import { serveCommand } from "./serve-command.js";
import { tlsCommand } from "./tls-commands.js";
import { tokenCommand } from "./token-commands.js";
import { watchClientsCommand, watchServicesCommand } from "./watch-commands.js";

const services = commandGroup("services", "registered services", [
  listServicesCommand(),
  watchServicesCommand(),
  explainCommand(),
  approveCommand(),
]);
const clients = commandGroup("clients", "download clients", [
  listClientsCommand(),
  watchClientsCommand(),
  addCommand(),
  editCommand(),
  removeCommand(),
  restoreCommand(),
  testCommand(),
]);
const program = createProgram(
  "pulse",
  "The registry of a media stack: services register here, and media managers find download clients and log in.",
);
for (const command of [
  serveCommand(),
  services,
  clients,
  tokenCommand(),
  tlsCommand(),
  auditCommand(),
  secretsCommand(),
  migrateCommand(),
])
  program.addCommand(command);
await runProgram(program);
