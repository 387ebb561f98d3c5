import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type { PulseConnection } from "../client/index.js";
import { CommandError } from "./failure.js";
import { listDownloadClients } from "./lists.js";
import { cell } from "./output.js";

const MAX_NEAR = 3;

/**
 * The entry with that id, else with that name, as it is now: hidden ones too, so
 * that the name of one whose service is away can be freed.
 * @throws CommandError if there is none
 */
export async function findEntry(pulse: PulseConnection, text: string): Promise<DownloadClient> {
  const { downloadClients } = await listDownloadClients(pulse, { showDeleted: true });
  const found =
    downloadClients.find(({ id }) => id === text) ??
    downloadClients.find(({ name }) => name === text);
  if (found) return found;
  const names = downloadClients.map(({ name }) => name);
  throw new CommandError(
    `there is no download client with the name or id ${JSON.stringify(text)}${nearNames(names, text)}`,
  );
}

/** Names that were perhaps meant: one is part of the other. */
function nearNames(names: readonly string[], text: string): string {
  const typed = text.toLowerCase();
  const near = names.filter((name) => {
    const known = name.toLowerCase();
    return typed !== "" && (known.includes(typed) || typed.includes(known));
  });
  const said = near.slice(0, MAX_NEAR).map((name) => cell(JSON.stringify(name)));
  return said.length > 0 ? `; did you mean ${said.join(" or ")}?` : "";
}
