import { describe, inject } from "vitest";
import { installedBinaries } from "./postgres-binaries.js";
import { createDatabase as createDatabaseOn, type TestDatabase } from "./postgres-database.js";
import type { PostgresAnswer } from "./postgres-setup.js";

// Whoever imports this file has PostgreSQL started, once for all files of the run.
const answer = (await (await fetch(inject("askForPostgres"))).json()) as PostgresAnswer;
const missing = "missing" in answer ? answer.missing : undefined;

// What was asked for by name, or belongs to CI, is not skipped.
if (missing && (process.env.CI || process.env.TEST_PG_URL))
  throw new Error(`tests need PostgreSQL: ${missing}`);

/** Why suites that need PostgreSQL have to be skipped; undefined: they run, as always in CI. */
export const postgresMissing: string | undefined = missing;

/** `describe` for what needs `createDatabase`: skipped, and said so, where there is no PostgreSQL. */
export function describePostgres(name: string, suite: () => void): void {
  describeUnless(missing, name, suite);
}

/** `describe` for what starts a `PostgresServer` of its own: TEST_PG_URL does not help there. */
export function describePostgresServer(name: string, suite: () => void): void {
  describeUnless(missing ?? binariesMissing(), name, suite);
}

/** An empty database of the test's own, on the server that all tests share; 20 ms. */
export async function createDatabase(): Promise<TestDatabase> {
  if ("missing" in answer) throw new Error(answer.missing);
  return createDatabaseOn(answer.url, answer.prefix);
}

function describeUnless(reason: string | undefined, name: string, suite: () => void): void {
  if (reason) console.warn(`skipped, as there is no PostgreSQL: ${name}\n${reason}`);
  describe.skipIf(reason)(name, suite);
}

function binariesMissing(): string | undefined {
  try {
    installedBinaries();
    return undefined;
  } catch (error) {
    if (process.env.CI) throw error;
    return (error as Error).message;
  }
}
