import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Commit } from "../../src/core/change.js";
import type { Holding } from "../../src/core/service.js";
import { openPostgresStore } from "../../src/store/postgres.js";
import {
  type SharedStore,
  type Store,
  StoreDivergedError,
  StoreOpenError,
  type StorePoint,
} from "../../src/store/store.js";
import { eventually } from "../support/eventually.js";
import { describePostgres } from "../support/postgres.js";
import { seededRandom } from "../support/seeded-random.js";
import { type PostgresPlace, placeAt, postgresPlace, run } from "./engines.js";
import {
  commitMany,
  commitOf,
  entryRecord,
  manualRecord,
  pointOf,
  requestOf,
  serviceCommit,
  serviceRecord,
  tokenRecord,
} from "./sample-records.js";

/** The least that a place has to offer. */
interface Opens {
  open(secretKey?: string): Promise<Store>;
}

async function openShared(place: Opens): Promise<Store & { shared: SharedStore }> {
  return (await place.open()) as Store & { shared: SharedStore };
}

/** Two nodes of one registry, of which the key is in one directory. */
async function twoNodes() {
  const place = await postgresPlace();
  const [one, other] = [await openShared(place), await openShared(place)];
  await one.load();
  await other.load();
  return { place, one, other };
}

async function raw({ url }: PostgresPlace): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => client.end().catch(() => {}));
  return client;
}

const revisionsOf = (commits: readonly Commit[]) => commits.map(({ revision }) => Number(revision));
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describePostgres("what was committed since", () => {
  it("is nothing in a new store, and for who knows it all", async () => {
    const { one, other } = await twoNodes();
    expect(await one.shared.since(pointOf(0n))).toEqual({ commits: [], revision: 0n });
    await one.commit(requestOf([serviceCommit(1n)]));
    expect(await other.shared.since(pointOf(1n))).toEqual({ commits: [], revision: 1n });
  });

  it("is each commit, whole, in order", async () => {
    const { one, other } = await twoNodes();
    const commits = [
      commitOf(1n, {
        services: [
          serviceRecord(),
          serviceRecord({
            id: "service-2",
            secretHash: undefined,
            generation: 2n ** 63n - 1n,
            leaseActive: false,
            leaseCredited: true,
            removed: true,
            apiKey: "",
            username: "",
            spec: { ...serviceRecord().spec, endpoint: undefined, protocol: undefined },
          }),
        ],
        entries: [entryRecord(), manualRecord({ enabled: false, deletedAt: 7 })],
        tokens: [tokenRecord(), tokenRecord({ id: "token-2", revokedAt: 5 })],
      }),
      commitOf(2n, { removedEntryIds: ["manual-1"] }),
      { ...commitOf(3n, {}), reason: "edited by 😀" as const, at: 1.5 },
    ];
    await one.commit(requestOf(commits.slice(0, 2)));
    await one.commit(requestOf(commits.slice(2)));
    const { commits: followed, revision } = await other.shared.since(pointOf(0n));
    expect(followed).toStrictEqual(commits);
    expect(revision).toBe(3n);
    expect((await other.shared.since(pointOf(2n))).commits).toStrictEqual(commits.slice(2));
  });

  it("comes in parts if it is much, without a gap", async () => {
    const { one, other } = await twoNodes();
    await commitMany(one, 1_234);
    const parts: number[] = [];
    let known = pointOf(0n);
    for (;;) {
      const { commits, revision } = await other.shared.since(known);
      expect(revision).toBe(1_234n);
      if (commits.length === 0) break;
      expect(revisionsOf(commits)).toEqual(
        range(Number(known.revision) + 1, Number(known.revision) + commits.length),
      );
      parts.push(commits.length);
      known = pointOf(known.revision + BigInt(commits.length));
    }
    expect(parts).toEqual([500, 500, 234]);
  });

  it.each<[string, string, StorePoint]>([
    ["is compacted", "select 1", pointOf(1n)],
    ["is compacted to the end", "delete from feed", pointOf(5n)],
    ["leads from another commit", "select 1", { revision: 4n, stamp: "other" }],
    ["is nothing but the newest has another stamp", "select 1", { revision: 6n, stamp: "other" }],
    ["lies before it", "select 1", pointOf(7n)],
    ["is of another registry", "update clock set epoch = 'other'", pointOf(4n)],
    ["has a hole", "delete from feed where rev = 5", pointOf(4n)],
  ])("is refused as another history if it %s", async (_, tampering, known) => {
    const { place, one } = await twoNodes();
    await commitMany(one, 6);
    await one.compact(2n);
    expect(revisionsOf((await one.shared.since(pointOf(2n))).commits)).toEqual([3, 4, 5, 6]);
    await run(place.connect(), tampering);
    await expect(one.shared.since(known)).rejects.toThrow(StoreDivergedError);
    await expect(one.commit(requestOf([serviceCommit(7n)], known))).rejects.toThrow(
      StoreDivergedError,
    );
  });
});

describePostgres("a commit to a store that others write to", () => {
  it("takes in what they have committed, and decides after it", async () => {
    const { one, other } = await twoNodes();
    const theirs = [serviceCommit(1n), commitOf(2n, { entries: [manualRecord()] })];
    await other.commit(requestOf(theirs));
    let missed: readonly Commit[] = [];
    await one.commit({
      known: () => pointOf(0n),
      holdingsOf: [],
      decide(news) {
        missed = news.missed;
        return [serviceCommit(3n)];
      },
    });
    expect(missed).toStrictEqual(theirs);
    expect(revisionsOf((await other.shared.since(pointOf(2n))).commits)).toEqual([3]);
  });

  it("takes in very much of it, in order, and decides once", async () => {
    const { one, other } = await twoNodes();
    await commitMany(other, 1_234);
    const missed: (readonly Commit[])[] = [];
    await one.commit({
      known: () => pointOf(7n),
      holdingsOf: [],
      decide(news) {
        missed.push(news.missed);
        return [serviceCommit(1_235n)];
      },
    });
    expect(missed.map(revisionsOf)).toEqual([range(8, 1_234)]);
    expect((await other.shared.since(pointOf(1_234n))).revision).toBe(1_235n);
  });

  it("learns where the services stand that it asks about", async () => {
    const { one } = await twoNodes();
    await one.commit(requestOf([serviceCommit(1n)]));
    const ask = async () => {
      let holdings: ReadonlyMap<string, Holding> = new Map();
      await one.commit({
        known: () => pointOf(1n),
        holdingsOf: ["service-1", "nobody"],
        decide(news) {
          holdings = news.holdings;
          return [];
        },
      });
      return [...holdings];
    };
    const holding = {
      leaseId: "service-1.1.secret",
      nodeId: undefined,
      lapsesAt: 15_000.25,
      leaseExpiresAt: 15_000.25,
      lastSeenAt: serviceRecord().lastSeenAt,
    };
    expect(await ask()).toEqual([["service-1", holding]]);
    await one.shared.join({ id: "node-1", name: "host:1" });
    const claim = { serviceId: "service-1", leaseId: "service-1.1.secret" };
    await one.shared.hold("node-1", { claims: [claim], releases: [] });
    expect(await ask()).toEqual([["service-1", { ...holding, nodeId: "node-1" }]]);
  });

  it("waits for one that compacts, and is missed by none", async () => {
    const { one, other } = await twoNodes();
    await commitMany(one, 2_000);
    const compacted = Promise.all([one.compact(1_900n), other.compact(1_800n)]);
    await commitMany(other, 2_010, 2_000);
    await compacted;
    expect(revisionsOf((await one.shared.since(pointOf(2_000n))).commits)).toEqual(
      range(2_001, 2_010),
    );
    expect((await one.load()).history[0]?.revision).toBe(1_901n);
  });
});

describePostgres("nodes that start together", () => {
  const open = async (url: string, secretKey?: string) => (await placeAt(url)).open(secretKey);
  const KEY = "a1".repeat(32);

  it("make the tables and the epoch once, and have the same key", async () => {
    const { url } = await postgresPlace();
    const stores = await Promise.all([1, 2, 3, 4].map(() => open(url, KEY)));
    const epochs = await Promise.all(stores.map(async (store) => (await store.load()).epoch));
    expect(new Set(epochs).size).toBe(1);
    await stores[0]?.commit(requestOf([serviceCommit(1n)]));
    expect((await stores[1]?.load())?.services[0]?.apiKey).toBe("key");
  });

  it("wait for one that is at it already", async () => {
    const place = await postgresPlace();
    const other = await raw(place);
    await other.query(`begin; select pg_advisory_xact_lock(${0x70756c7365})`); // "pulse"
    const opened = place.open(KEY);
    await eventually(async () => {
      const { rows } = await other.query(
        "select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())",
      );
      expect(rows).toHaveLength(1);
    });
    const { rows } = await other.query("select from pg_tables where schemaname = 'public'");
    expect(rows).toEqual([]); // it has begun nothing
    await other.query("commit");
    expect((await (await opened).load()).revision).toBe(0n);
  });

  it("without a common key are refused, but for one, and make no key file of their own", async () => {
    const { url } = await postgresPlace();
    const places = await Promise.all([placeAt(url), placeAt(url), placeAt(url)]);
    const opened = await Promise.allSettled(places.map((place) => place.open()));
    const files = await Promise.all(places.map(({ directory }) => readdir(directory)));
    const made = opened.findIndex(({ status }) => status === "fulfilled");
    expect(files.map((names) => names.length)).toEqual(opened.map((_, i) => (i === made ? 1 : 0)));
    for (const [i, each] of opened.entries()) {
      if (i === made) continue;
      const { reason } = each as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(StoreOpenError);
      expect((reason as Error).message).toMatch(
        /secret\.key is missing, and the database postgres:\/\/.* is encrypted with a key: .*PULSE_SECRET_KEY/,
      );
    }
  });

  it("in an old database bring it up to date once", async () => {
    const place = await postgresPlace();
    const store = await place.open(KEY);
    await store.commit(requestOf([serviceCommit(1n)]));
    await store.close();
    const db = place.connect();
    // As version 2 was, as far as the third migration looks at it.
    await run(db, "drop table registry_time, feed, nodes, audit");
    await run(db, "drop function refuse_audit_update");
    for (const [table, columns] of Object.entries({
      services: ["node_id", "lapses_at", "approved", "token_id", "verified_at", "said_offline"],
      download_clients: ["verified_at"],
      tokens: [...["expires_at", "max_uses", "uses", "instance_id", "joined_with", "last_used_at"]],
    }))
      await run(db, `alter table ${table} ${columns.map((name) => `drop ${name}`).join(", ")}`);
    await run(
      db,
      "alter table clock drop audit_id, add registry_time_ms double precision default 5",
    );
    await run(db, "update schema_version set version = 2");
    const stores = await Promise.all([1, 2, 3].map(() => open(place.url, KEY)));
    for (const each of stores)
      expect(await each.load()).toMatchObject({ revision: 1n, registryTimeMs: 5 });
  });
});

describePostgres("a node that is stopped while it holds the clock", () => {
  /** More than the limit of 1.5 s, less than the promise of 2 s and a busy machine's own delay. */
  const BLOCKED_MS = 3_500;

  async function expectCommit(store: Store): Promise<number> {
    const startedAt = performance.now();
    await store.commit(requestOf([serviceCommit(1n)]));
    return performance.now() - startedAt;
  }

  it("is put out by the server, and the others go on", async () => {
    const place = await postgresPlace();
    const store = await place.open();
    const directory = place.directory;
    const program = join(import.meta.dirname, "stopping-process.ts");
    const child = spawn(process.execPath, ["--import", "tsx", program, place.url, directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    await once(child.stdout, "data"); // it decides, and stands still

    expect(await expectCommit(store)).toBeLessThan(BLOCKED_MS);

    child.kill("SIGCONT");
    const [said] = (await once(child.stdout, "data")) as [Buffer];
    expect(said.toString()).toBe("StoreUnavailableError\n"); // and its commit is not there
    expect((await store.load()).services).toEqual(serviceCommit(1n).services);
  });

  it("even if it stood still before its first word", async () => {
    const place = await postgresPlace();
    const store = await place.open();
    const client = await raw(place);
    await client.query("begin; set local idle_in_transaction_session_timeout = 1500");
    await client.query("select * from clock for update");
    expect(await expectCommit(store)).toBeLessThan(BLOCKED_MS);
  });
});

describePostgres("the hints that somebody commits", () => {
  it("come to every other node, from whoever commits", async () => {
    const { one, other } = await twoNodes();
    const heard = { one: 0, other: 0 };
    one.shared.listen(() => heard.one++);
    other.shared.listen(() => heard.other++);
    await eventually(() => expect(heard).toEqual({ one: 1, other: 1 })); // they listen
    await one.commit(requestOf([serviceCommit(1n)]));
    await eventually(() => expect(heard).toEqual({ one: 1, other: 2 }));
    await other.commit(requestOf([serviceCommit(2n)]));
    await eventually(() => expect(heard).toEqual({ one: 2, other: 2 }));
  });

  it("come again after the connection broke, with one at once for what was not heard", async () => {
    const { place, one, other } = await twoNodes();
    let heard = 0;
    one.shared.listen(() => heard++);
    await eventually(() => expect(heard).toBe(1));
    const client = await raw(place);
    await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query like 'listen %'`);
    await eventually(() => expect(heard).toBe(2));
    await other.commit(requestOf([serviceCommit(1n)]));
    await eventually(() => expect(heard).toBe(3));
  });

  it("end when they are not wanted any more, and with the store", async () => {
    const { place, one, other } = await twoNodes();
    const client = await raw(place);
    const listening = async () => {
      const { rows } = await client.query(`select from pg_stat_activity
        where datname = current_database() and query like 'listen %'`);
      return rows.length;
    };
    const ended = one.shared.listen(() => {});
    other.shared.listen(() => {});
    await eventually(async () => expect(await listening()).toBe(2));
    await ended.stop();
    await eventually(async () => expect(await listening()).toBe(1));
    await other.close();
    await eventually(async () => expect(await listening()).toBe(0));
    await one.close(); // with what has ended already
  });
});

describe("the URL of a database", () => {
  it.each(["", "pulse", "http://me:planted-4711@host/pulse", "postgres://me:planted-4711@ho st/"])(
    "that is none is refused without being repeated (%#)",
    async (url) => {
      const opened = openPostgresStore({ url, directory: "/nonexistent", random: seededRandom() });
      const error = await opened.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(StoreOpenError);
      expect((error as Error).message).toMatch(/must be given as a URL such as postgres:\/\//);
      expect((error as Error).message).not.toContain("4711");
    },
  );
});

describePostgres("a standby", () => {
  it("is refused: it cannot be written", async () => {
    const place = await postgresPlace();
    const client = await raw(place);
    const name = new URL(place.url).pathname.slice(1);
    // It says of itself that it is one.
    await client.query(`
      create function public.pg_is_in_recovery() returns boolean language sql as 'select true';
      alter database ${name} set search_path = public, pg_catalog`);
    await expect(place.open()).rejects.toThrow(StoreOpenError);
    await expect(place.open()).rejects.toThrow(
      `postgres://${new URL(place.url).host}/${name} is a standby, which cannot be written: give the primary`,
    );
    expect(await readdir(place.directory)).toEqual([]);
  });
});

describePostgres("a transaction", () => {
  it("has limits for itself, and leaves none in the session that others may get", async () => {
    const db = (await postgresPlace()).connect();
    const limits = async (on: typeof db) =>
      Object.values({
        ...(await run(on, "show lock_timeout"))[0],
        ...(await run(on, "show idle_in_transaction_session_timeout"))[0],
      });
    expect(await db.transaction().execute((trx) => limits(trx))).toEqual(["4s", "1500ms"]);
    expect(await limits(db)).toEqual(["0", "0"]);
    const level = await db
      .transaction()
      .setIsolationLevel("repeatable read")
      .execute((trx) => run(trx, "show transaction_isolation"));
    expect(level).toEqual([{ transaction_isolation: "repeatable read" }]);
  });
});
