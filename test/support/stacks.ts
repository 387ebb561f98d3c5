import { describe } from "vitest";
import { createDatabase, describePostgres } from "./postgres.js";
import { Stack } from "./stack.js";

/**
 * The same suite with Pulse on its own SQLite, and on a PostgreSQL. `create` makes a
 * stack whose registry is empty; the caller stops it.
 */
export function describeStacks(name: string, suite: (create: () => Promise<Stack>) => void): void {
  describe(`${name}, on SQLite`, () => suite(() => Stack.create()));
  describePostgres(`${name}, on PostgreSQL`, () =>
    suite(async () => Stack.create({ database: (await createDatabase()).url })),
  );
}
