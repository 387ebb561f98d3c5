import { describe, expect, it } from "vitest";
import { databaseName } from "../../src/store/postgres-url.js";
import { StoreOpenError } from "../../src/store/store.js";

describe("what a database is called", () => {
  it.each([
    ["postgres://host/pulse", "postgres://host/pulse"],
    ["postgresql://host:5433/pulse", "postgres://host:5433/pulse"],
    ["postgres://me:planted@host:5432/pulse", "postgres://host:5432/pulse"],
    ["postgres://me:pl%40nted@[::1]:5432/pulse", "postgres://[::1]:5432/pulse"],
    ["postgres://host/pulse?password=planted&sslmode=require", "postgres://host/pulse"],
    ["postgres:///pulse?host=/run/postgresql&password=planted", "postgres://localhost/pulse"],
    ["postgres://planted@host", "postgres://host"],
  ])("names no user and no password (%#)", (url, name) => {
    expect(databaseName(url)).toBe(name);
    expect(name).not.toMatch(/pl(%40|a)nted/);
  });

  it.each([
    "postgres://me:1/pl@nted@host/db",
    "postgres://me:p@ss/w:1?pl@nted",
    "postgres://h/db#pl@nted",
  ])("is nothing if it may be part of a password (%#)", (url) => {
    expect(() => databaseName(url)).toThrow(/^the URL of the database has an @ behind the host/);
    expect(() => databaseName(url)).not.toThrow(/pl@nted/);
  });

  it.each(["", "pulse", "host:5432/pulse", "mysql://me:planted@host/pulse", "postgres://a b:c"])(
    "is nothing if it is no URL of a PostgreSQL, and that is not repeated (%#)",
    (url) => {
      expect(() => databaseName(url)).toThrow(StoreOpenError);
      expect(() => databaseName(url)).toThrow(
        /^the database must be given as a URL such as postgres:\/\/user@host:5432\/pulse$/,
      );
    },
  );
});
