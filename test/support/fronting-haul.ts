import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RealClient } from "./download-clients/real-clients.js";
import type { RunningProgram } from "./processes.js";
import type { Stack } from "./stack.js";

/** A Haul that was given a download client with flags, and its password in a file. */
export interface FrontingHaul {
  readonly program: RunningProgram;
  /** Writes the file anew, as an operator does. */
  writePassword(password: string): Promise<void>;
}

/** Starts a Haul of that name beside a download client, reached at its own URL or another. */
export async function startFrontingHaul(
  stack: Stack,
  name: string,
  client: RealClient,
  url = client.url,
): Promise<FrontingHaul> {
  const file = join(stack.group.directory, `${name}.password`);
  const writePassword = (password: string) => writeFile(file, `${password}\n`, { mode: 0o600 });
  await writePassword(client.password);
  const user = client.username === "" ? [] : ["--username", client.username];
  const program = await stack.startHaul(name, [
    ...["--name", name, "--kind", client.kind, "--url", url],
    ...user,
    ...["--password-file", file],
  ]);
  return { program, writePassword };
}
