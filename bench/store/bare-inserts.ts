import { serveParent } from "../remote.js";
import { openBarePostgres } from "./bare-postgres.js";
import { openBareSqlite } from "./bare-sqlite.js";
import { postgresSizes, sqliteSizes } from "./sizes.js";

/**
 * The floor of durable Registers, a process of its own: the same rows in the same
 * tables, one transaction for each, by the drivers alone. It decides nothing, encrypts
 * nothing, and nobody calls it over a network.
 */
export interface BareLoop {
  /** Inserts with so many callers for a while, and then measures for `ms`. */
  run(callers: number, warmUpMs: number, ms: number): Promise<Inserted>;
  close(): Promise<void>;
}

export interface Inserted {
  /** Of each transaction that ended within `tookMs`. */
  readonly timesMs: readonly number[];
  readonly tookMs: number;
  /** Transactions from the first call to the last answer. */
  readonly all: number;
}

export type Engine = "SQLite" | "PostgreSQL";

const loops = new Map<Engine, BareLoop>();

const api = {
  /** @param data of a Pulse that has registered services, the last of them again */
  openSqlite: (data: string) => void loops.set("SQLite", openBareSqlite(data)),
  /** @param url of the database of such a Pulse */
  openPostgres: async (url: string, maxCallers: number) =>
    void loops.set("PostgreSQL", await openBarePostgres(url, maxCallers)),
  run: (engine: Engine, callers: number, warmUpMs: number, ms: number) => {
    const loop = loops.get(engine);
    if (!loop) throw new Error(`the loop on ${engine} is not open`);
    return loop.run(callers, warmUpMs, ms);
  },
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
  sqliteSizes,
  postgresSizes,
};

export type BareInsertsApi = typeof api;

process.on("disconnect", () => process.exit());
serveParent(api);
