import type { PulseConnection } from "../client/index.js";
import { listDownloadClients, listServices } from "./lists.js";
import { cell, paint } from "./output.js";
import type { SupervisedState } from "./supervisor.js";
import { downloadClientsTable, servicesTable } from "./tables.js";

/** Both lists as tables. What changes with every heartbeat is left out: the text changes when something happened. */
export async function registryTables(pulse: PulseConnection): Promise<string> {
  const [{ services }, { downloadClients }] = await Promise.all([
    listServices(pulse),
    listDownloadClients(pulse),
  ]);
  return [
    paint("bold", "Services"),
    servicesTable(services, false),
    "",
    paint("bold", "Download clients"),
    downloadClientsTable(downloadClients),
  ].join("\n");
}

/** One line for each program: where it is, or why it is not. */
export function programLines(pulse: SupervisedState, haul: SupervisedState): string {
  const lines = [programLine("Pulse", pulse), programLine("Haul", haul)];
  if (haul.name === "running")
    lines.push(
      `       "kill ${haul.pid}" in another terminal ends it; 5 s later it is started again.`,
    );
  return lines.join("\n");
}

function programLine(name: string, state: SupervisedState): string {
  return `${name.padEnd(7)}${stateText(state)}`;
}

function stateText(state: SupervisedState): string {
  switch (state.name) {
    case "starting":
      return "starts";
    case "running":
      return `${cell(state.url)}   pid ${state.pid}`;
    case "ended":
      return `ended: ${cell(state.reason)}`;
  }
}
