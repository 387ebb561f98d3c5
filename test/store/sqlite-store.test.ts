import { join } from "node:path";
import { Kysely } from "kysely";
import Database from "libsql";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemRandom } from "../../src/lib/random.js";
import { Secrets } from "../../src/lib/sealing.js";
import { Queries } from "../../src/store/queries.js";
import type { Schema } from "../../src/store/schema.js";
import { sqliteDialect } from "../../src/store/sqlite-dialect.js";
import { SqliteStore } from "../../src/store/sqlite-store.js";
import { StoreUnavailableError } from "../../src/store/store.js";
import {
  commitOf,
  requestOf,
  serviceCommit,
  serviceRecord,
  tokenRecord,
} from "./sample-records.js";
import { openStore, temporaryDirectory } from "./temporary-store.js";

/** Another program's view of the database. */
function look(directory: string) {
  const database = new Database(join(directory, "pulse.db"));
  onTestFinished(() => void database.close());
  return database;
}

describe("a commit", () => {
  it("waits for the one before it", async () => {
    const store = await openStore(await temporaryDirectory());
    const revisions = [1n, 2n, 3n, 4n];
    await Promise.all(revisions.map((each) => store.commit(requestOf([serviceCommit(each)]))));
    expect((await store.load()).revision).toBe(4n);
  });
});

describe("a flush", () => {
  const presence = {
    serviceId: "service-1",
    leaseId: "service-1.1.secret",
    lastSeenAt: 7,
    leaseExpiresAt: 8.5,
    leaseCredited: true,
    verifiedAt: 6,
  };

  it("writes signs of life and registry time, and nothing else", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const others = Array.from({ length: 70 }, (_, i) => serviceRecord({ id: `other-${i}` }));
    await store.commit(requestOf([commitOf(1n, { services: [serviceRecord(), ...others] })]));
    await store.flush({
      registryTimeMs: 12.75,
      presences: [
        presence,
        ...others.map(({ id }) => ({ ...presence, serviceId: id, leaseId: "service-1.1.secret" })),
      ],
    });
    const { serviceId: _, leaseId: __, ...written } = presence;
    expect(await store.load()).toMatchObject({
      revision: 1n,
      stamp: "stamp-1",
      registryTimeMs: 12.75,
      services: [serviceRecord(written), ...others.map((other) => ({ ...other, ...written }))],
    });
    expect((await store.load()).history[0]?.changes).toHaveLength(71);
  });

  it.each([
    ["ended", { leaseActive: false }],
    ["was superseded", { leaseId: "service-1.2.secret", generation: 2n }],
    ["went with its service", { leaseActive: false, removed: true }],
  ])("does not touch a lease that %s meanwhile", async (_, change) => {
    const store = await openStore(await temporaryDirectory());
    const service = serviceRecord(change);
    await store.commit(requestOf([commitOf(1n, { services: [service] })]));
    await store.flush({ registryTimeMs: 1, presences: [presence] });
    expect((await store.load()).services).toEqual([service]);
  });

  it("makes no service that is not there", async () => {
    const store = await openStore(await temporaryDirectory());
    await store.flush({ registryTimeMs: 1, presences: [presence] });
    expect(await store.load()).toMatchObject({ registryTimeMs: 1, services: [] });
  });

  it("of thousands is one transaction, and a commit waits for its end", async () => {
    const store = await openStore(await temporaryDirectory());
    const services = Array.from({ length: 2_500 }, (_, i) => serviceRecord({ id: `service-${i}` }));
    await store.commit(requestOf([commitOf(1n, { services })]));
    const presences = services.map(({ id }) => ({ ...presence, serviceId: id }));
    const flushed = store.flush({ registryTimeMs: 1, presences });
    await store.commit(requestOf([commitOf(2n, {})]));
    expect((await store.load()).services.every(({ lastSeenAt }) => lastSeenAt === 7)).toBe(true);
    await flushed;
  });
});

describe("a database that cannot be used just now", () => {
  const commit = commitOf(1n, { tokens: [tokenRecord({ name: "x".repeat(100_000) })] });

  it.each([
    ["is full", "max_page_count = 1", "max_page_count = 1000000"],
    ["is read-only", "query_only = on", "query_only = off"],
  ])("%s: nothing is written, and the next try works once it is not", async (words, set, unset) => {
    const directory = await temporaryDirectory();
    await (await openStore(directory)).close();
    const connection = new Database(join(directory, "pulse.db"));
    const db = new Kysely<Schema>({ dialect: sqliteDialect(connection) });
    const secrets = new Secrets([Buffer.alloc(32)], systemRandom);
    const queries = new Queries({ db, secrets, isShared: false });
    const source = { kind: "given", name: "PULSE_SECRET_KEY" } as const;
    const store = new SqliteStore({
      connection,
      path: "",
      db,
      queries,
      keys: { secrets, source },
      random: systemRandom,
      release: () => {},
    });
    onTestFinished(() => store.close());

    connection.exec(`pragma ${set}`);
    await expect(store.commit(requestOf([commit]))).rejects.toThrow(StoreUnavailableError);
    await expect(store.commit(requestOf([commit]))).rejects.toThrow(words);

    connection.exec(`pragma ${unset}`);
    expect(await store.load()).toMatchObject({ revision: 0n, tokens: [] });
    await store.commit(requestOf([commit]));
    expect((await store.load()).revision).toBe(1n);
  });

  it("is locked by another program: the next try works once that lets go", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const other = look(directory);
    other.exec("begin immediate");
    await expect(store.commit(requestOf([commit]))).rejects.toThrow(StoreUnavailableError);
    await expect(store.flush({ registryTimeMs: 5, presences: [] })).rejects.toThrow(
      StoreUnavailableError,
    );
    other.exec("rollback");
    await store.commit(requestOf([commit]));
    expect(await store.load()).toMatchObject({ revision: 1n, registryTimeMs: 0 });
  });

  it("can be read by another program meanwhile", async () => {
    const directory = await temporaryDirectory();
    const store = await openStore(directory);
    const other = look(directory);
    other.exec("begin");
    other.prepare("select * from clock").all();
    await store.commit(requestOf([commit]));
    other.exec("commit");
  });
});
