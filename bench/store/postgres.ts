import pg from "pg";
import { createDatabase } from "../../test/support/postgres-database.js";
import { PostgresServer } from "../../test/support/postgres-server.js";
import { familyCpuMs, familyMemory } from "../family-usage.js";
import { serveParent } from "../remote.js";

/**
 * Starts PostgreSQL as it is installed: every commit waits for the disk. Its data is in
 * TMPDIR. It is started from a process of its own so that whoever is measured or
 * measures has nothing to do with it.
 */
const starting = PostgresServer.start({ fsync: true });
starting.catch(() => {}); // it may fail before anybody asks for its `problem`

const api = {
  /** Why it does not start, if so. */
  problem: () =>
    starting.then(
      () => undefined,
      (error: Error) => error.message,
    ),
  version: async () => {
    const client = new pg.Client({ connectionString: (await starting).url() });
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>("show server_version");
    await client.end();
    return rows[0]?.server_version ?? "";
  },
  /** Makes a database and returns its URL. */
  createDatabase: async () => (await createDatabase((await starting).url(), "bench_")).url,
  /** Of all its processes. */
  cpuMs: async () => familyCpuMs((await starting).pid ?? 0),
  memory: async () => familyMemory((await starting).pid ?? 0),
  /** Ends it and removes its data. */
  dispose,
};

function dispose(): Promise<void> {
  return starting.then(
    (server) => server.dispose(),
    () => {}, // it has tidied up
  );
}

export type PostgresApi = typeof api;

process.on("disconnect", async () => {
  await dispose().catch(() => {});
  process.exit();
});
serveParent(api);
