import { StoreOpenError } from "./store.js";

/**
 * What to call a database by, without a password: `postgres://host:port/name`.
 * @throws StoreOpenError if this is no URL of a PostgreSQL.
 */
export function databaseName(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^postgres(ql)?:$/.test(url.protocol))
    throw new StoreOpenError(
      "the database must be given as a URL such as postgres://user@host:5432/pulse",
    );
  // A password with a slash or a question mark in it would end up behind the host, and in logs.
  if (`${url.pathname}${url.search}${url.hash}`.includes("@"))
    throw new StoreOpenError(
      "the URL of the database has an @ behind the host: write special characters of a password as %40, %2F, %3F, %23 …",
    );
  return `postgres://${url.host || "localhost"}${url.pathname}`;
}
