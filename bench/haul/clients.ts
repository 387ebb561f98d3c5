import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { REAL_KINDS } from "../../test/support/download-clients/kinds.js";
import {
  createRealClient,
  type RealClient,
  type RealClientKind,
} from "../../test/support/download-clients/real-client.js";
import { hasProgram } from "../../test/support/download-clients/release.js";
import { familyCpuMs } from "../family-usage.js";

/** A real download client that runs, empty and on loopback. */
export interface BenchClient extends RealClient {
  /** As its makers write it. */
  readonly title: string;
  /** What `haul run` reads its password from. */
  readonly passwordFile: string;
}

const isInstalled = ({ programs }: RealClientKind) =>
  programs.every((program) => hasProgram("installed", program));

/** Kinds of download client, by whether they are installed here. */
export const INSTALLED_KINDS = REAL_KINDS.filter(isInstalled);
export const MISSING_TITLES = REAL_KINDS.filter((kind) => !isInstalled(kind)).map(
  ({ title }) => title,
);

/** Starts one of each kind that is installed, and ends them after `use`. */
export async function withClients<T>(
  use: (clients: readonly BenchClient[]) => Promise<T>,
): Promise<T> {
  const clients: BenchClient[] = [];
  try {
    for (const kind of INSTALLED_KINDS) {
      const client = await createRealClient(kind);
      const passwordFile = join(client.directory, "haul.password");
      clients.push(Object.assign(client, { title: kind.title, passwordFile }));
      await writeFile(passwordFile, `${client.password}\n`, { mode: 0o600 });
      await client.start();
    }
    return await use(clients);
  } finally {
    await Promise.all(clients.map((client) => client.dispose()));
  }
}

/** CPU time so far, of all its processes. */
export function clientCpuMs({ pids }: RealClient): number {
  return pids.reduce((sum, pid) => sum + familyCpuMs(pid), 0);
}
