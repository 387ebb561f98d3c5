import pg from "pg";
import { sleep } from "../waiting.js";
import type { BareLoop, Inserted } from "./bare-inserts.js";
import { type PulseRows, type Row, statementsOf } from "./bare-rows.js";

const SCHEMA = "bare";

/** Tables like those of the Pulse that uses this database, with its services, in a schema beside them. */
export async function openBarePostgres(url: string, maxCallers: number): Promise<BareLoop> {
  const clients = await Promise.all(Array.from({ length: maxCallers }, () => connect(url)));
  const [first] = clients;
  if (!first) throw new RangeError("at least one caller");
  const rows = await readPulse(first);
  await copyTables(first);
  const statements = statementsOf(rows, (nth) => `$${nth}`);
  let nth = 0;

  /** A statement leaves when the one before it is answered, as pg does it. */
  async function insertOne(client: pg.Client): Promise<void> {
    const mine = ++nth;
    await client.query("begin");
    for (const { name, text, values } of statements)
      await client.query({ name, text, values: values(mine) });
    await client.query("commit");
  }

  return {
    async run(callers, warmUpMs, ms): Promise<Inserted> {
      const first = nth;
      let isRunning = true;
      let timesMs: number[] = [];
      const calling = clients.slice(0, callers).map(async (client) => {
        while (isRunning) {
          const sentAt = performance.now();
          await insertOne(client);
          timesMs.push(performance.now() - sentAt);
        }
      });
      await sleep(warmUpMs);
      timesMs = [];
      const startedAt = performance.now();
      await sleep(ms);
      const taken = timesMs;
      timesMs = [];
      const tookMs = performance.now() - startedAt;
      isRunning = false;
      await Promise.all(calling);
      return { timesMs: taken, tookMs, all: nth - first };
    },
    async close() {
      await Promise.all(clients.map((client) => client.end()));
    },
  };
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "bench",
    options: `-c search_path=${SCHEMA}`, // what is Pulse's must be named as such
  });
  await client.connect();
  return client;
}

async function readPulse(client: pg.Client): Promise<PulseRows> {
  const all = async (sql: string) => (await client.query<Row>(sql)).rows;
  const [feed] = await all("select * from public.feed where rev = (select rev from public.clock)");
  return {
    services: await all("select * from public.services"),
    changes: await all(
      "select * from public.change_log where rev = (select rev from public.clock) order by position",
    ),
    feed,
  };
}

async function copyTables(client: pg.Client): Promise<void> {
  await client.query(`create schema ${SCHEMA}`);
  for (const table of ["clock", "services", "change_log", "feed"])
    await client.query(`create table ${SCHEMA}.${table} (like public.${table} including all)`);
  for (const table of ["clock", "services"])
    await client.query(`insert into ${SCHEMA}.${table} select * from public.${table}`);
}
