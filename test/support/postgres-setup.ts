import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { createDatabase, dropDatabases } from "./postgres-database.js";
import { PostgresServer } from "./postgres-server.js";

declare module "vitest" {
  interface ProvidedContext {
    /** A URL that answers with a `PostgresAnswer`; PostgreSQL starts when it is asked first. */
    readonly askForPostgres: string;
  }
}

/** The server that all test files share, and how the databases of this run begin; or why there is none. */
export type PostgresAnswer =
  | { readonly url: string; readonly prefix: string }
  | { readonly missing: string };

const prefix = `pulse_test_${randomBytes(4).toString("hex")}_`;
const given = process.env.TEST_PG_URL;
let started: Promise<PostgresServer> | undefined;
let checked: Promise<void> | undefined;
let questions: Server | undefined;

/** Once for a run of tests, in vitest's own process: a run that needs no PostgreSQL starts none. */
export async function setup(project: TestProject): Promise<void> {
  const server = createServer(async (_, response) => {
    response.setHeader("connection", "close").end(JSON.stringify(await answer()));
  });
  questions = server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const { port } = server.address() as AddressInfo;
  project.provide("askForPostgres", `http://127.0.0.1:${port}`);
}

export async function teardown(): Promise<void> {
  questions?.close();
  const nothing = () => {};
  if (given) await checked?.then(() => dropDatabases(given, prefix), nothing);
  await started?.then((server) => server.dispose(), nothing);
}

async function answer(): Promise<PostgresAnswer> {
  try {
    if (given) {
      checked ??= createDatabase(given, prefix).then((database) => database.drop());
      await checked;
      return { url: given, prefix };
    }
    started ??= PostgresServer.start();
    return { url: (await started).url(), prefix };
  } catch (error) {
    const { message } = error as Error;
    return { missing: given ? `no database can be made at TEST_PG_URL: ${message}` : message };
  }
}
