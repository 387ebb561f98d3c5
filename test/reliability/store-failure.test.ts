import { join } from "node:path";
import Database from "libsql";
import pg from "pg";
import { describe, it, type TestContext } from "vitest";
import { survives } from "../support/failing-store.js";
import { createDatabase, describePostgres } from "../support/postgres.js";
import { toggleStore, UNWRITABLE_STORE } from "../support/preload.js";
import { SmallDisk, smallDiskMissing } from "../support/small-disk.js";
import { Stack } from "../support/stack.js";

// Writes are refused and nothing else, what was acknowledged stays, nobody is OFFLINE, and
// all goes on by itself. Not shown: a PostgreSQL with a full disk, which refuses as one that
// is read-only does, by other codes (test/store/postgres-errors.test.ts).

/** They mostly wait, all five at once. */
const PATIENCE_MS = 90_000;

describe.concurrent("while the store fails for longer than a lease lasts,", () => {
  it(
    "#23 a SQLite that another program holds loses nothing",
    async (test) => {
      const stack = await Stack.create();
      test.onTestFinished(() => stack.stop());
      let other: Database.Database | undefined;
      test.onTestFinished(() => void other?.close());
      await survives(
        {
          what: "locked",
          stack,
          fail() {
            other = new Database(join(stack.dataDirectory, "pulse.db"), { timeout: 5_000 });
            other.exec("begin immediate");
          },
          mend: () => other?.exec("rollback"),
        },
        test,
      );
    },
    PATIENCE_MS,
  );

  it(
    "#23 a SQLite whose files cannot be written loses nothing",
    async (test) => {
      const stack = await Stack.create();
      test.onTestFinished(() => stack.stop());
      const env = UNWRITABLE_STORE;
      await survives({ what: "read-only", stack, env, fail: toggleStore, mend: toggleStore }, test);
    },
    PATIENCE_MS,
  );

  // With a long log: SQLite writes over it, and has no room when it copies it to the database.
  it.skipIf(smallDiskMissing())(
    "#23 a SQLite whose disk is full loses nothing",
    async (test) => {
      const disk = await SmallDisk.create(32 << 20);
      const stack = await Stack.create({ disk });
      test.onTestFinished(() => stack.stop().finally(() => disk.close()));
      const [fail, mend] = [() => disk.fill(), () => disk.free()];
      const load = { writesBefore: 200, settingsSize: 20_000 };
      await survives({ what: "on a full disk", stack, fail, mend, ...load }, test);
    },
    PATIENCE_MS,
  );

  describePostgres("on PostgreSQL", () => {
    it(
      "#23 a clock that another session holds loses nothing",
      async (test) => {
        const { stack, other } = await stackOnPostgres(test);
        await survives(
          {
            what: "locked, PostgreSQL",
            stack,
            fail: () => other.query("begin; select * from clock for update"),
            mend: () => other.query("rollback"),
          },
          test,
        );
      },
      PATIENCE_MS,
    );

    it(
      "#23 a database that is read-only loses nothing",
      async (test) => {
        const { stack, other } = await stackOnPostgres(test);
        const name = other.escapeIdentifier(other.database ?? "");
        const setReadOnly = (to: "on" | "off") =>
          other.query(`alter database ${name} set default_transaction_read_only = ${to}`);
        await survives(
          {
            what: "read-only, PostgreSQL",
            stack,
            async fail() {
              await setReadOnly("on");
              await other.query(
                `select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()`,
              );
            },
            // The sessions that began meanwhile stay read-only: Pulse has to leave them.
            mend: () => setReadOnly("off"),
          },
          test,
        );
      },
      PATIENCE_MS,
    );
  });
});

/** And a session of somebody else. */
async function stackOnPostgres(test: TestContext): Promise<{ stack: Stack; other: pg.Client }> {
  const { url } = await createDatabase();
  const stack = await Stack.create({ database: url });
  test.onTestFinished(() => stack.stop());
  const other = new pg.Client(url);
  await other.connect();
  test.onTestFinished(() => other.end());
  return { stack, other };
}
