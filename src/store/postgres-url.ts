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
  // A password with a slash in it would end up in the path, and in logs.
  if (url.pathname.includes("@"))
    throw new StoreOpenError(
      "the URL of the database has an @ in the name of the database: write special characters of a password as %40, %2F …",
    );
  return `postgres://${url.host || "localhost"}${url.pathname}`;
}
