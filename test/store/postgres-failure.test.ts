import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { systemRandom } from "../../src/lib/random.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import { type SharedStore, type Store, StoreUnavailableError } from "../../src/store/store.js";
import { eventually } from "../support/eventually.js";
import { FaultProxy } from "../support/fault-proxy.js";
import { ManualClock } from "../support/manual-clock.js";
import { describePostgresServer } from "../support/postgres.js";
import { createDatabase } from "../support/postgres-database.js";
import { PostgresServer } from "../support/postgres-server.js";
import { refusal as refusalOf } from "./refusal.js";
import { pointOf, requestOf, serviceCommit } from "./sample-records.js";
import { temporaryDirectory } from "./temporary-store.js";

const PASSWORD = "planted-password-4711";

let server: PostgresServer;

async function database(): Promise<string> {
  const { url, drop } = await createDatabase(server.url());
  onTestFinished(drop);
  return url;
}

async function open(url: string, clock?: ManualClock): Promise<Store & { shared: SharedStore }> {
  const directory = await temporaryDirectory();
  const store = await openPostgresStore({
    url,
    directory,
    random: systemRandom,
    ...(clock ? { clock } : {}),
  });
  onTestFinished(() => store.close());
  return store as Store & { shared: SharedStore };
}

/** Another program's connection. */
async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function refusal(opened: Promise<unknown>): Promise<string> {
  const sentence = await refusalOf(opened);
  expect(sentence).not.toContain(PASSWORD);
  return sentence;
}

/** What a call fails with, which must be that the store is unavailable. */
async function unavailability(call: Promise<unknown>): Promise<StoreUnavailableError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreUnavailableError);
  return error as StoreUnavailableError;
}

/** The store goes on as if nothing had happened. */
async function expectUsable(store: Store & { shared: SharedStore }): Promise<void> {
  const { revision } = await store.load();
  await store.commit(requestOf([serviceCommit(revision + 1n)]));
  expect((await store.shared.since(pointOf(revision))).revision).toBe(revision + 1n);
}

const NODES = "select pid from pg_stat_activity where application_name = 'pulse'";

/** The server process of the one transaction of a node for which this holds. */
function backend(client: pg.Client, condition: string): Promise<number> {
  return eventually(async () => {
    const { rows } = await client.query<{ pid: number }>(
      `${NODES} and datname = current_database() and ${condition}`,
    );
    expect(rows).toHaveLength(1);
    return rows[0]?.pid as number;
  });
}

/** From now on each COMMIT that touches a service takes so long. */
async function slowCommits(client: pg.Client, seconds: number): Promise<void> {
  await client.query(`
    create function dawdle() returns trigger language plpgsql as
      $$ begin perform pg_sleep(${seconds}); return null; end $$;
    create constraint trigger dawdle after insert or update on services
      deferrable initially deferred for each row execute function dawdle()`);
}

describePostgresServer("a PostgreSQL that fails", () => {
  beforeAll(async () => {
    server = await PostgresServer.start();
  });
  afterAll(() => server.dispose());

  describe("at the start: one sentence says what to do", () => {
    it("refuses the connection", async () => {
      const port = 1; // of which no system makes use
      for (const host of ["127.0.0.1", "localhost"])
        expect(
          await refusal(open(`postgres://me:${PASSWORD}@${host}:${port}/pulse?sslmode=disable`)),
        ).toMatch(
          new RegExp(
            `^postgres://${host}:${port}/pulse cannot be used, there is no connection \\(.*ECONNREFUSED.*\\): start it, or give another URL$`,
          ),
        );
    });

    it("has no such database", async () => {
      expect(await refusal(open(server.url("nothing")))).toMatch(
        /\/nothing cannot be used, there is no such database \(.*\): create it, or give another name/,
      );
    });

    it("knows no such host", async () => {
      expect(await refusal(open(`postgres://me:${PASSWORD}@nowhere.invalid/pulse`))).toMatch(
        /^postgres:\/\/nowhere\.invalid\/pulse cannot be used, there is no connection/,
      );
    });

    it("refuses the password, or the lack of one", async () => {
      const url = new URL(await database());
      const admin = await connect(url.href);
      const { rows } = await admin.query<{ hba_file: string }>("show hba_file");
      const file = rows[0]?.hba_file as string;
      const before = await readFile(file, "utf8");
      onTestFinished(async () => {
        await writeFile(file, before);
        await admin.query("select pg_reload_conf()");
      });
      await admin.query("drop role if exists locked");
      await admin.query(`create role locked login superuser password '${PASSWORD}'`);
      await writeFile(file, `host all locked 127.0.0.1/32 scram-sha-256\n${before}`);
      await admin.query("select pg_reload_conf()");
      await eventually(async () => {
        const locked = new URL(url);
        locked.username = "locked";
        expect(await refusal(open(locked.href))).toMatch(
          /the database refuses this user \(.*\): check the user and password in the URL, PGPASSWORD/,
        );
        locked.password = `${PASSWORD}x`;
        expect(await refusal(open(locked.href))).toMatch(
          /the database refuses this user \(password authentication failed for user "locked"\): check/,
        );
        locked.password = PASSWORD;
        const store = await open(locked.href);
        expect(store.shared.name).toBe(`postgres://127.0.0.1:${server.port}${url.pathname}`);
      });
    });

    it("speaks no TLS when it must", async () => {
      expect(await refusal(open(`${await database()}?sslmode=require`))).toMatch(
        /there is no connection \(The server does not support SSL connections\)/,
      );
    });

    it("has a key that cannot be read", async () => {
      const directory = await temporaryDirectory();
      await mkdir(join(directory, "secret.key"));
      const url = await database();
      expect(await refusal(openPostgresStore({ url, directory, random: systemRandom }))).toMatch(
        /secret\.key cannot be read \(EISDIR\)/,
      );
    });

    it("accepts and says nothing", async () => {
      const proxy = await FaultProxy.open(server.port);
      onTestFinished(() => proxy.close());
      await proxy.blackhole();
      expect(await refusal(open(`postgres://me@127.0.0.1:${proxy.port}/pulse`))).toMatch(
        /there is no connection \(.*timeout.*\)/,
      );
    });

    it("may not be used by this user", async () => {
      const url = new URL(await database());
      const admin = await connect(url.href);
      await admin.query(`drop role if exists weak`);
      await admin.query(`create role weak login`);
      url.username = "weak";
      expect(await refusal(open(url.href))).toMatch(
        /this user may not use the tables \(.*\): let the user create tables/,
      );
    });

    it("is read-only", async () => {
      const url = await database();
      const admin = await connect(url);
      const name = new URL(url).pathname.slice(1);
      await admin.query(`alter database ${name} set default_transaction_read_only = on`);
      expect(await refusal(open(url))).toMatch(
        /the database is read-only \(.*\): give the address of the primary/,
      );
    });
  });

  it("cuts its connections: the next try makes another", async () => {
    const url = new URL(await database());
    const proxy = await FaultProxy.open(server.port);
    onTestFinished(() => proxy.close());
    url.port = String(proxy.port);
    const store = await open(url.href);
    await expectUsable(store);
    await proxy.cut();
    for (let i = 0; i < 6; i++) {
      const error = await unavailability(store.commit(requestOf([serviceCommit(2n)])));
      expect(error.message).toMatch(/^there is no connection: .+/);
      expect(error.isOutcomeUnknown).toBe(false);
      await unavailability(store.shared.since(pointOf(1n)));
    }
    await proxy.restore();
    await expectUsable(store);
  });

  it("is read-only for a while", async () => {
    const url = await database();
    const admin = await connect(url);
    const name = new URL(url).pathname.slice(1);
    const store = await open(url);
    await expectUsable(store);
    const become = (state: string) =>
      admin.query(`alter database ${name} set default_transaction_read_only = ${state}`);
    await become("on");
    await admin.query(`select pg_terminate_backend(pid) from (${NODES}) as nodes`);
    await eventually(async () => {
      const error = await unavailability(store.commit(requestOf([serviceCommit(2n)])));
      expect(error.message).toMatch(/^the database is read-only: /);
    });
    expect((await store.load()).revision).toBe(1n);
    // The sessions of meanwhile stay read-only until they end: each is found out once.
    await become("off");
    await eventually(() => expectUsable(store));
  });

  it("has its clock held for too long", async () => {
    const url = await database();
    const store = await open(url);
    const other = await connect(url);
    await other.query("begin; select * from clock for update");
    const startedAt = performance.now();
    const error = await unavailability(store.commit(requestOf([serviceCommit(1n)])));
    expect(error.message).toMatch(/^another node holds the database: /);
    expect(error.isOutcomeUnknown).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(6_000);
    expect((await store.shared.since(pointOf(0n))).revision).toBe(0n); // reads need not wait
    await other.query("rollback");
    await expectUsable(store);
  });

  it("ends the session in the middle of a transaction: nothing was written", async () => {
    const url = await database();
    const store = await open(url);
    const other = await connect(url);
    await other.query("begin; select * from clock for update");
    const committed = store.commit(requestOf([serviceCommit(1n)]));
    committed.catch(() => {});
    const admin = await connect(url);
    const pid = await backend(admin, "wait_event_type = 'Lock'");
    await admin.query("select pg_terminate_backend($1)", [pid]);
    const error = await unavailability(committed);
    expect(error.message).toMatch(/^the server ended the statement: /);
    expect(error.isOutcomeUnknown).toBe(false);
    await other.query("rollback");
    expect((await store.load()).revision).toBe(0n);
    await expectUsable(store);
  });

  it("ends the session during COMMIT: nobody knows", async () => {
    const url = await database();
    const store = await open(url);
    const other = await connect(url);
    await slowCommits(other, 30);
    const committed = store.commit(requestOf([serviceCommit(1n)]));
    committed.catch(() => {});
    const pid = await backend(other, "wait_event = 'PgSleep'");
    await other.query("select pg_terminate_backend($1)", [pid]);
    expect((await unavailability(committed)).isOutcomeUnknown).toBe(true);
    await other.query("drop trigger dawdle on services");
    await expectUsable(store);
  });

  it("loses the connection during COMMIT, which is carried out: nobody knows", async () => {
    const url = new URL(await database());
    const other = await connect(url.href);
    const proxy = await FaultProxy.open(server.port);
    onTestFinished(() => proxy.close());
    url.port = String(proxy.port);
    const store = await open(url.href);
    await slowCommits(other, 0.5);
    const committed = store.commit(requestOf([serviceCommit(1n)]));
    committed.catch(() => {});
    await backend(other, "wait_event = 'PgSleep'");
    proxy.reset();
    expect((await unavailability(committed)).isOutcomeUnknown).toBe(true);
    await eventually(async () => expect((await store.load()).revision).toBe(1n));
    await expectUsable(store);
  });

  it("falls silent: each call ends by its deadline, and what comes later works", async () => {
    const url = new URL(await database());
    const proxy = await FaultProxy.open(server.port);
    onTestFinished(() => proxy.close());
    url.port = String(proxy.port);
    const clock = new ManualClock();
    const store = await open(url.href, clock);
    await expectUsable(store);
    await Promise.all([store.shared.since(pointOf(1n)), store.shared.renew("a")]);
    await proxy.blackhole();
    const calls = [
      [2_000, () => store.shared.since(pointOf(1n))],
      [2_000, () => store.shared.renew("a")],
      [5_000, () => store.commit(requestOf([serviceCommit(2n)]))],
    ] as const;
    for (const [deadlineMs, call] of calls) {
      const called = call();
      called.catch(() => {});
      let isOver = false;
      const over = () => {
        isOver = true;
      };
      called.then(over, over);
      await new Promise((resolve) => setTimeout(resolve, 50));
      await clock.advance(deadlineMs - 1);
      expect(isOver).toBe(false);
      await clock.advance(1);
      const error = await unavailability(called);
      expect(error.message).toBe(`the server does not answer: no answer within ${deadlineMs} ms`);
      expect(error.isOutcomeUnknown).toBe(false); // nobody had sent COMMIT
    }
    await proxy.restore();
    await eventually(() => expectUsable(store));
  });

  it("is ended and started again: the store goes on by itself", async () => {
    const store = await open(await database());
    await expectUsable(store);
    await server.stop();
    for (let i = 0; i < 5; i++) await unavailability(store.shared.since(pointOf(1n)));
    await server.start();
    await expectUsable(store);
  });
});
