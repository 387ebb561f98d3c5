import { randomBytes } from "node:crypto";
import pg from "pg";

/** An empty database of a test's own. */
export interface TestDatabase {
  readonly url: string;
  /** Cuts whoever is still connected, and removes it. */
  drop(): Promise<void>;
}

/**
 * Makes a database on the server of that URL, whose user must be allowed to. Its name
 * is `prefix` and a random part, so that runs on one server do not meet.
 */
export async function createDatabase(
  server: string,
  prefix = "pulse_test_",
): Promise<TestDatabase> {
  const name = `${prefix}${randomBytes(6).toString("hex")}`;
  // template0: nobody can be connected to it, which would refuse the copy.
  await administer(server, (client) => client.query(`create database ${name} template template0`));
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => dropDatabases(server, name) };
}

/** Removes all databases whose names begin so. */
export async function dropDatabases(server: string, prefix: string): Promise<void> {
  await administer(server, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      "select datname as name from pg_database where starts_with(datname, $1)",
      [prefix],
    );
    for (const { name } of rows)
      await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
  });
}

/** What one statement answers, on a connection of its own. */
export function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  return administer(url, async (client) => (await client.query(sql)).rows);
}

async function administer<T>(
  server: string,
  action: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: server, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {}); // a broken connection fails the query, too
  await client.connect();
  try {
    return await action(client);
  } finally {
    await client.end();
  }
}
