import Database from "libsql";
import pg from "pg";
import { pulseDatabase } from "./bare-sqlite.js";

/** What stands in a database, indices included. */
export interface Sizes {
  /** Services and their entries. */
  readonly serviceBytes: number;
  /** The change log, and the feed for other nodes. */
  readonly historyBytes: number;
  readonly revision: number;
}

/** What a database grows by. */
export interface Growth {
  readonly bytesPer1000Services: number;
  readonly bytesPer10000Changes: number;
}

const SERVICE_TABLES = ["services", "download_clients"];
const HISTORY_TABLES = ["change_log", "feed"];

export function sqliteSizes(data: string): Sizes {
  const db = new Database(pulseDatabase(data), { readonly: true });
  const sizeOf = (tables: readonly string[]) => {
    const row = db
      .prepare(
        `select sum(pgsize) as bytes from dbstat join sqlite_schema using (name)
         where tbl_name in (${tables.map(() => "?").join(", ")})`,
      )
      .get(tables) as { bytes: number };
    return row.bytes;
  };
  const { rev } = db.prepare("select rev from clock").get() as { rev: number };
  const sizes = {
    serviceBytes: sizeOf(SERVICE_TABLES),
    historyBytes: sizeOf(HISTORY_TABLES),
    revision: rev,
  };
  db.close();
  return sizes;
}

export async function postgresSizes(url: string): Promise<Sizes> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ services: string; history: string; rev: string }>(
      `select
        (select sum(pg_total_relation_size(name::regclass)) from unnest($1::text[]) name) as services,
        (select sum(pg_total_relation_size(name::regclass)) from unnest($2::text[]) name) as history,
        (select rev from clock) as rev`,
      [SERVICE_TABLES, HISTORY_TABLES],
    );
    const [row] = rows;
    return {
      serviceBytes: Number(row?.services),
      historyBytes: Number(row?.history),
      revision: Number(row?.rev),
    };
  } finally {
    await client.end();
  }
}

/**
 * @param empty before the first service
 * @param filled when so many had registered
 * @param later after some had registered again
 */
export function growthOf(services: number, empty: Sizes, filled: Sizes, later: Sizes): Growth {
  const changes = later.revision - filled.revision;
  return {
    bytesPer1000Services: ((filled.serviceBytes - empty.serviceBytes) / services) * 1_000,
    bytesPer10000Changes: ((later.historyBytes - filled.historyBytes) / changes) * 10_000,
  };
}
