import { type Kysely, sql } from "kysely";
import { expect, it } from "vitest";
import { type EntryRecord, newOperatorFields } from "../../src/core/entry.js";
import type { ServiceRecord } from "../../src/core/service.js";
import type { TokenRecord } from "../../src/core/token.js";
import { Secrets } from "../../src/lib/sealing.js";
import { MIGRATIONS, type Migration, migrate } from "../../src/store/migrations.js";
import { changeLogRows, downloadClientRow, serviceRow, tokenRow } from "../../src/store/records.js";
import type { Schema } from "../../src/store/schema.js";
import { checkOf } from "../../src/store/secret-key.js";
import { StoreOpenError } from "../../src/store/store.js";
import { seededRandom } from "../support/seeded-random.js";
import { describeEngines, type Place, run } from "./engines.js";
import {
  commitOf,
  entryRecord,
  manualRecord,
  requestOf,
  serviceRecord,
  tokenRecord,
} from "./sample-records.js";

const KEY = Buffer.alloc(32, 7);
const secrets = new Secrets([KEY], seededRandom());

async function tables(db: Kysely<Schema>): Promise<string[]> {
  return (await db.introspection.getTables()).map(({ name }) => name).sort();
}

const version = (db: Kysely<Schema>) => run(db, "select version from schema_version");

/** A later step of the schema. */
function addTable(name: string): Migration {
  return (db) => db.schema.createTable(name).addColumn("id", "text").execute();
}

/** A row of a table as it once was. */
async function insert(db: Kysely<Schema>, table: string, row: object): Promise<void> {
  const names = sql.join(Object.keys(row).map((name) => sql.ref(name)));
  const values = sql.join(Object.values(row));
  await sql`insert into ${sql.table(table)} (${names}) values (${values})`.execute(db);
}

/** A service as it was before some had to wait for approval. */
const oldService = (change: Partial<ServiceRecord> = {}) =>
  serviceRecord({ tokenId: "", ...change });

/** Rows without the columns that came with version 5. */
function serviceRowOf4(service: ServiceRecord) {
  const { said_offline: _said, verified_at: _verified, ...row } = serviceRow(service, secrets);
  return row;
}
function entryRowOf4(entry: EntryRecord) {
  const { verified_at: _verified, ...row } = downloadClientRow(entry, secrets);
  return row;
}

/** Rows without those that came with version 4, too. */
function oldServiceRow(service: ServiceRecord): object {
  const { approved: _approved, token_id: _tokenId, ...row } = serviceRowOf4(service);
  return row;
}

function oldTokenRow(token: TokenRecord): object {
  const { id, name, scopes, hash, created_at, revoked_at } = tokenRow(token);
  return { id, name, scopes, hash, created_at, revoked_at };
}

/** The clock as it was before registry time had a table of its own. */
const OLD_CLOCK = {
  one: 1,
  epoch: "epoch-1",
  rev: 2,
  stamp: "stamp-2",
  min_rev: 0,
  registry_time_ms: 12.5,
  key_check: checkOf(secrets),
};

describeEngines("the schema", (engine) => {
  const connect = async () => (await engine.place()).connect();

  it("is made whole in a new database, once", async () => {
    const db = await connect();
    await migrate(db);
    await migrate(db);
    expect(await tables(db)).toEqual([
      "audit",
      "change_log",
      "clock",
      "download_clients",
      "feed",
      "nodes",
      "registry_time",
      "schema_version",
      "services",
      "tokens",
    ]);
    expect(await version(db)).toEqual([{ version: String(MIGRATIONS.length) }]);
  });

  it("of an older database gets what it lacks, in order", async () => {
    const db = await connect();
    await migrate(db, [addTable("one")]);
    await migrate(db, [addTable("one"), addTable("two"), addTable("three")]);
    expect(await tables(db)).toEqual(["one", "schema_version", "three", "two"]);
    expect(await version(db)).toEqual([{ version: "3" }]);
  });

  it("stays as it was if a step fails", async () => {
    const db = await connect();
    await migrate(db, [addTable("one")]);
    const failing: Migration = async (trx) => void (await sql`select nonsense`.execute(trx));
    await expect(migrate(db, [addTable("one"), addTable("two"), failing])).rejects.toThrow(
      "nonsense",
    );
    expect(await tables(db)).toEqual(["one", "schema_version"]);
    expect(await version(db)).toEqual([{ version: "1" }]);
  });

  it("of a newer database is refused, and stays as it is", async () => {
    const db = await connect();
    await migrate(db, [addTable("one"), addTable("two")]);
    await expect(migrate(db, [addTable("one")])).rejects.toThrow(StoreOpenError);
    expect(await version(db)).toEqual([{ version: "2" }]);
  });
});

describeEngines("a registry of version 1", (engine) => {
  it("keeps everything, and can have entries by hand", async () => {
    const services = [
      oldService(),
      oldService({ id: "service-2", removed: true, username: "", apiKey: "", revision: 2n }),
    ];
    const tokens = [tokenRecord()];
    const operator = {
      ...newOperatorFields("mine 😀"),
      enabled: false,
      priority: 7,
      category: "tv",
      directory: "/tv",
      tags: ["a"],
      settings: { a: [1] },
    };
    const entries = [
      entryRecord({ ...operator, revision: 2n ** 53n + 1n, createdAt: 1.5 }),
      entryRecord({
        id: "entry-2",
        name: "haul-2",
        origin: { source: "auto", serviceId: "service-2", overrides: {} },
      }),
    ];
    const commits = [
      commitOf(1n, { services: services.slice(0, 1), entries: entries.slice(0, 1), tokens }),
      commitOf(2n, { services: services.slice(1), entries: entries.slice(1) }),
    ];

    const place = await engine.place();
    const db = place.connect();
    await migrate(db, MIGRATIONS.slice(0, 1));
    await insert(db, "clock", OLD_CLOCK);
    for (const service of services) await insert(db, "services", oldServiceRow(service));
    for (const { origin, deletedAt: _, ...entry } of entries) {
      const serviceId = origin.source === "auto" ? origin.serviceId : "";
      await insert(db, "download_clients", {
        id: entry.id,
        service_id: serviceId,
        name: entry.name,
        enabled: Number(entry.enabled),
        priority: entry.priority,
        category: entry.category,
        directory: entry.directory,
        tags: JSON.stringify(entry.tags),
        settings: JSON.stringify(entry.settings),
        created_at: entry.createdAt,
        updated_at: entry.updatedAt,
        rev: entry.revision,
        removed: Number(serviceId === "service-2"),
      });
    }
    for (const token of tokens) await insert(db, "tokens", oldTokenRow(token));
    for (const { detail: _, ...row } of commits.flatMap(changeLogRows))
      await insert(db, "change_log", row);
    await db.destroy();

    const store = await place.open(KEY.toString("hex"));
    expect(await store.load()).toEqual({
      epoch: "epoch-1",
      revision: 2n,
      stamp: "stamp-2",
      registryTimeMs: 12.5,
      services,
      entries,
      tokens,
      history: commits.map(({ revision, stamp, at, reason, changes }) => ({
        revision,
        stamp,
        at,
        reason,
        changes,
      })),
    });

    // Another of the first, and one without a service, which version 1 could not have.
    const edited = entryRecord({ ...operator, priority: 8, deletedAt: 5 });
    await store.commit(requestOf([commitOf(3n, { entries: [edited, manualRecord()] })]));
    const byId = (list: readonly { readonly id: string }[]) =>
      list.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    expect(byId((await store.load()).entries)).toEqual(
      byId([edited, ...entries.slice(1), manualRecord()]),
    );
    const orphan = entryRecord({
      id: "entry-3",
      origin: { source: "auto", serviceId: "nobody", overrides: {} },
    });
    await expect(store.commit(requestOf([commitOf(4n, { entries: [orphan] })]))).rejects.toThrow(
      engine.orphanError,
    );
  });
});

describeEngines("a registry of version 2", (engine) => {
  async function made(): Promise<Place> {
    const place = await engine.place();
    const db = place.connect();
    await migrate(db, MIGRATIONS.slice(0, 2));
    await insert(db, "clock", { ...OLD_CLOCK, rev: 1, stamp: "stamp-1" });
    const { services, entries, tokens, ...rest } = commit;
    for (const service of services) await insert(db, "services", oldServiceRow(service));
    for (const entry of entries) await insert(db, "download_clients", entryRowOf4(entry));
    for (const token of tokens) await insert(db, "tokens", oldTokenRow(token));
    for (const row of changeLogRows({ ...commit, ...rest })) await insert(db, "change_log", row);
    await db.destroy();
    return place;
  }
  const auto = entryRecord({
    origin: { source: "auto", serviceId: "service-1", overrides: { password: "override" } },
  });
  const commit = commitOf(1n, {
    services: [oldService()],
    entries: [auto, manualRecord()],
    tokens: [tokenRecord()],
  });

  it("keeps everything, and goes on with its history and in its time", async () => {
    const store = await (await made()).open(KEY.toString("hex"));
    const { history, ...stored } = await store.load();
    expect(stored).toEqual({
      epoch: "epoch-1",
      revision: 1n,
      stamp: "stamp-1",
      registryTimeMs: 12.5,
      services: commit.services,
      entries: commit.entries,
      tokens: commit.tokens,
    });
    expect(history).toHaveLength(1);
    await store.commit(requestOf([commitOf(2n, { tokens: [tokenRecord({ name: "next" })] })]));
    if (store.shared) expect((await store.shared.renew("nobody")).registryTimeMs).toBe(1_012.5);
    else await store.flush({ registryTimeMs: 13.5, presences: [] });
    expect((await store.load()).registryTimeMs).toBe(engine.isShared ? 1_012.5 : 13.5);
  });

  if (!engine.isShared) return;
  it("tells who follows it that it does not know what came before", async () => {
    const store = await (await made()).open(KEY.toString("hex"));
    await store.commit(requestOf([commitOf(2n, { tokens: [tokenRecord({ name: "next" })] })]));
    const followed = await store.shared?.since({ revision: 1n, stamp: "stamp-1" });
    expect(followed?.commits.map(({ revision }) => revision)).toEqual([2n]);
    await expect(store.shared?.since({ revision: 0n, stamp: "" })).rejects.toThrow(/compacted/);
  });
});

describeEngines("a registry of version 4", (engine) => {
  it("keeps everything: nobody is OFFLINE by its own word, and when it was verified is not known", async () => {
    const services = [
      serviceRecord({ status: "offline", credentialState: "verified" }),
      serviceRecord({ id: "service-2", approved: false }),
    ];
    const entries = [entryRecord(), manualRecord({ credentialState: "verified" })];
    const place = await engine.place();
    const db = place.connect();
    await migrate(db, MIGRATIONS.slice(0, 4));
    const { registry_time_ms: _, ...clock } = OLD_CLOCK;
    await insert(db, "clock", { ...clock, rev: 1, stamp: "stamp-1" });
    for (const service of services) await insert(db, "services", serviceRowOf4(service));
    for (const entry of entries) await insert(db, "download_clients", entryRowOf4(entry));
    await db.destroy();

    const store = await place.open(KEY.toString("hex"));
    expect(await store.load()).toMatchObject({ revision: 1n, services, entries });
    const next = {
      services: services.map((service) => ({ ...service, saidOffline: true, verifiedAt: 1.5 })),
      entries: entries.map((entry) => ({ ...entry, verifiedAt: 2.5 })),
    };
    await store.commit(requestOf([commitOf(2n, next)]));
    expect(await store.load()).toMatchObject({ revision: 2n, ...next });
  });
});
